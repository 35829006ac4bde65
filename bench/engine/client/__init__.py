"""The engine `client`: asyncio and the clients that applications use."""
