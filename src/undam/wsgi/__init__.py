"""Event streams from Flask and Django under WSGI, as far as WSGI can."""
