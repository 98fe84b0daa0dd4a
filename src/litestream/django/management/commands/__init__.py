"""``manage.py litestream``, and ``inspectdb`` without Litestream's tables."""
