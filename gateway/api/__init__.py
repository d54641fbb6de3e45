"""REST operations of the gateway, one module per noun. Addresses are in gateway/api_urls.py."""
