"""What runs around Studio: its servers on this machine, its environment, and the files for other machines."""
