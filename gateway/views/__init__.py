"""Pages of the gateway, one module per noun. Addresses are in gateway/urls.py."""
