"""A page that other devices, such as phones, open in a browser and measure themselves in."""
