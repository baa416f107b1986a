"""``volfs serve``: endpoints of apps answer HTTP on this machine."""
