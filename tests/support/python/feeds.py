"""Compares how pollhook reads feeds with how feedparser does, and prints each difference.

Reads a JSON object a line: {"path": …, "url": …, "items": […]}. The last line printed is the number of items compared.
"""

import html
import json
import re
import sys
from calendar import timegm
from datetime import datetime
from urllib.parse import urljoin

import feedparser


def plain(title):
    """Returns a title without markup, as neither side has to show it in the same way."""
    previous = None
    while previous != title:
        previous, title = title, html.unescape(re.sub(r"</?[a-zA-Z][^>]*>", "", title))
    return " ".join(title.split())


def seconds(text):
    return timegm(datetime.fromisoformat(text).utctimetuple()) if text else None


def first(*values):
    return next((value for value in values if value), None)


def differences(ours, theirs, url):
    if plain(ours["title"] or "") != plain(theirs.get("title", "")):
        yield "title", ours["title"], theirs.get("title")
    link = first(theirs.get("link"))
    if link and ours["url"] != urljoin(url, link):
        yield "url", ours["url"], link
    identifier = first(theirs.get("id"), theirs.get("link"))
    if identifier and identifier not in (ours["id"], urljoin(url, ours["id"])):
        yield "id", ours["id"], identifier
    for ours_name, theirs_name in (("published", "published_parsed"), ("updated", "updated_parsed")):
        # feedparser says "updated" where it is "published", and the other way round, depending on the format.
        parsed = [dict.get(theirs, name) for name in (theirs_name, "published_parsed", "updated_parsed", "created_parsed")]
        known = {timegm(date) for date in parsed if date}
        if known and ours[ours_name] and seconds(ours[ours_name]) not in known:
            yield ours_name, ours[ours_name], known
    if not ours["published"] and not ours["updated"] and (dict.get(theirs, "published_parsed") or dict.get(theirs, "updated_parsed")):
        yield "date", None, theirs.get("published")
    urls = [urljoin(url, enclosure.get("href", "")) for enclosure in theirs.get("enclosures", [])]
    if not set(urls) <= {enclosure["url"] for enclosure in ours["enclosures"]}:
        yield "enclosures", ours["enclosures"], urls


compared = 0
for line in sys.stdin:
    case = json.loads(line)
    with open(case["path"], "rb") as file:
        body = file.read()
    headers = {"content-location": case["url"], "content-type": "application/xml"}
    parsed = feedparser.parse(body, response_headers=headers, sanitize_html=False, resolve_relative_uris=True)
    if len(parsed.entries) != len(case["items"]):
        print(f"{case['path']}: {len(case['items'])} items, and feedparser finds {len(parsed.entries)}")
        continue
    for index, (ours, theirs) in enumerate(zip(case["items"], parsed.entries)):
        compared += 1
        for name, mine, other in differences(ours, theirs, case["url"]):
            print(f"{case['path']}: item {index}: {name} is {mine!r}, and {other!r} for feedparser")
print(compared)
