"""Who we are to a service: sources of credentials, and signatures made with them."""
