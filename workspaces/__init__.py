"""Who owns what: workspaces, members, keys, sealed secrets."""
