"""One door for each kind of service. A door sends one request once, and names what went wrong."""
