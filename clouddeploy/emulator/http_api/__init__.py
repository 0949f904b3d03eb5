"""API Gateway's HTTP APIs, answering on loopback.

moto keeps APIs, routes, integrations and stages. What it keeps is obeyed here: a request is matched with
the routes and runs the function behind its integration. Every change acts at once, as with a stage that
deploys by itself. WebSocket APIs don't run.
"""
