"""What a model server tells of itself: counts shared by its workers, quantiles, Prometheus's text.

Nothing here knows HTTP: `clouddeploy.server.observing` feeds it and answers with it.
"""
