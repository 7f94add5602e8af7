"""Strategies that damage valid documents: in their values, and in their text."""

from __future__ import annotations

import copy

from hypothesis import strategies as st

SURPRISES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([10**30, -(10**30), 2**31, 2**63, 65535, 65536, 1e400, 0.5, 80.0]),
    st.sampled_from(["", "a", "A", "-", "*", "10.0.0.0/8", "10.0.0.1/8", "::/0", "0.0.0.0/0", "None", "Local", "eni"]),
    st.sampled_from(["web", "main", "nodes", "pods", "nat", "n1", "n9", "tunnel", "vpc", "default", "25%", "30000"]),
    st.text(max_size=8),
    st.sampled_from([[], {}, [None], [[]], [{}], {"a": "b"}, {"name": "web"}, ["web"], {"": ""}]),
)


SPECIAL = (
    *(": ", "- ", "\t", "&a ", "*a", "<<: ", "!!int ", "'", '"', "{", "]", "\x00", "---\n"),
    *("%YAML 9\n", "\ud800", "1_0", "012", "é", "\r", "\ufeff"),
)


def places(value, path=()):
    """Every path into a tree of mappings and lists."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


@st.composite
def damaged(draw, documents):
    """The documents with one to three values deleted, replaced, doubled, renamed or moved by one."""
    tree = copy.deepcopy(documents)
    for _ in range(draw(st.integers(1, 3))):
        paths = [path for path in places(tree) if path]
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        holder = tree
        for step in path[:-1]:
            holder = holder[step]
        key = path[-1]
        _damage(draw, holder, key)
    return tree


def _damage(draw, holder, key):
    kind = draw(st.sampled_from(["delete", "replace", "double", "rename", "off by one"]))
    value = holder[key]
    if kind == "delete":
        del holder[key]
    elif kind == "double" and isinstance(holder, list):
        holder.append(copy.deepcopy(value))
    elif kind == "rename" and isinstance(holder, dict):
        holder[draw(st.sampled_from([str(key)[:-1], str(key) + "s", str(key).upper()]))] = holder.pop(key)
    elif kind == "off by one" and isinstance(value, int) and not isinstance(value, bool):
        holder[key] = value + draw(st.sampled_from([-1, 1]))
    else:
        holder[key] = copy.deepcopy(draw(SURPRISES))


@st.composite
def damaged_text(draw, text):
    """The text with a piece cut out, doubled, or replaced by something that YAML treats specially."""
    start = draw(st.integers(0, len(text)))
    end = min(len(text), start + draw(st.integers(0, 40)))
    piece = draw(st.sampled_from(["", text[start:end] * 2, *SPECIAL]))
    return text[:start] + piece + text[end:]
