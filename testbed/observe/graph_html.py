"""A picture as one HTML page that needs no network: layers to switch, and a click shows what an object has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from html import escape

from testbed.observe.graph import Picture
from testbed.observe.graph_details import Detail
from testbed.observe.graph_layers import LAYERS
from testbed.observe.graph_svg import render_svg

_STYLE = """
body{margin:0;font:14px system-ui,sans-serif;color:#1f2933;display:flex;flex-direction:column;height:100vh}
header{padding:8px 14px;border-bottom:1px solid #cbd2d9;display:flex;gap:16px;flex-wrap:wrap;align-items:center}
header b{margin-right:auto}header label{user-select:none}
main{flex:1;display:flex;min-height:0}#picture{flex:1;overflow:auto}#picture.fit svg{width:100%;height:auto}
.caption{display:none}
aside{width:36%;min-width:320px;max-width:620px;overflow:auto;border-left:1px solid #cbd2d9;padding:4px 14px 14px}
aside h2{font-size:16px;margin:10px 0 2px}aside h3{font-size:13px;margin:14px 0 4px;color:#52606d}
aside li{font:12px ui-monospace,Menlo,Consolas,monospace;margin:0 0 5px;overflow-wrap:anywhere;
white-space:pre-line}aside li::first-line{color:#1f2933}aside li{color:#616e7c}aside .goes{color:#2563eb;cursor:pointer}
aside ul{margin:0;padding-left:16px}.source{color:#616e7c;font-size:12px}
[data-id]{cursor:pointer}[data-id]:hover>rect:first-of-type{stroke-width:2.6}
[data-id]:focus-visible{outline:2px solid #2563eb}
.chosen>rect:first-of-type{stroke:#d64545;stroke-width:3}.related>rect:first-of-type{stroke:#e07b00;stroke-width:3}
"""

_SCRIPT = """
const details = JSON.parse(document.getElementById('details').textContent);
const boxes = id => document.querySelectorAll('[data-id="' + CSS.escape(id) + '"]');
const aside = document.querySelector('aside');
function add(parent, tag, text, css) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (css) made.className = css;
  return parent.appendChild(made);
}
function show(id) {
  const found = details[id];
  if (!found) return;
  document.querySelectorAll('.chosen,.related').forEach(one => one.classList.remove('chosen', 'related'));
  boxes(id).forEach(one => one.classList.add('chosen'));
  found.related.forEach(other => boxes(other).forEach(one => one.classList.add('related')));
  aside.replaceChildren();
  add(aside, 'h2', found.title);
  if (found.source) add(aside, 'div', found.source, 'source');
  for (const [title, lines] of found.parts) {
    add(aside, 'h3', title);
    const list = add(aside, 'ul', '');
    lines.forEach(line => {
      const item = add(list, 'li', line, details[line] ? 'goes' : '');
      if (details[line]) item.addEventListener('click', () => { show(line); see(line); });
    });
  }
  location.hash = encodeURIComponent(id);
}
const see = id => boxes(id)[0]?.scrollIntoView({block: 'nearest', inline: 'nearest'});
document.querySelectorAll('[data-id]').forEach(box => {
  box.setAttribute('tabindex', '0');
  box.addEventListener('click', event => { event.stopPropagation(); show(box.dataset.id); });
  box.addEventListener('keydown', event => { if (event.key === 'Enter') show(box.dataset.id); });
});
document.getElementById('fit').addEventListener('change', event => {
  document.getElementById('picture').classList.toggle('fit', event.target.checked);
});
document.querySelectorAll('header input[value]').forEach(input => input.addEventListener('change', () => {
  document.querySelectorAll('.layer-' + input.value).forEach(one => one.style.display = input.checked ? '' : 'none');
}));
if (location.hash) {
  const id = decodeURIComponent(location.hash.slice(1));
  show(id);
  see(id);
}
"""

_FIT = '<label><input type="checkbox" id="fit"> fit to window</label>'
_HELP = "Its addresses, routes and flows are shown here, and what belongs to it is marked in the picture."


def render_html(picture: Picture, details: Mapping[str, Detail], layers: tuple[str, ...] = LAYERS) -> str:
    data = json.dumps({name: asdict(detail) for name, detail in details.items()}, ensure_ascii=False)
    data = data.replace("</", "<\\/")  # no text of the lab's ends the script
    switches = "".join(
        f'<label><input type="checkbox" value="{layer}" checked> {_name(layer)}</label>' for layer in layers
    )
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(picture.caption)}</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<header><b>{escape(picture.caption)}</b>{switches}{_FIT}</header>",
            f'<main><div id="picture">{render_svg(picture)}</div>',
            f"<aside><h2>Click an object</h2><p>{_HELP}</p></aside></main>",
            f'<script type="application/json" id="details">{data}</script>',
            f"<script>{_SCRIPT}</script></body></html>",
        ]
    )


def _name(layer: str) -> str:
    return {"groups": "security groups", "services": "Services", "eips": "elastic IPs"}.get(layer, layer)
