"""The embedded Google Cloud: its REST APIs on a second loopback port, with a real data plane.

Pure dictionaries of JSON; no package of Google's is imported. What the APIs look like is in
``schema.py`` and ``*/fields.py``, which method is called by which path in ``routes.py``, what is kept
between calls in ``cloud.py``. `plane` runs the instances, `storage` keeps the objects.
"""
