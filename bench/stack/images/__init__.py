"""Images of the services: Dockerfiles for any base, and bases made of this machine's own programs."""
