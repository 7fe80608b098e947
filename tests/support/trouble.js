// Texts that are cut off by the page's edge or a chart's, or lie on one another; measured as drawn.
(() => {
  const wide = document.documentElement.clientWidth, found = [], near = 1;
  const shown = node => { const box = node.getBoundingClientRect(); return box.width > 0 && box.height > 0; };
  const outside = [...document.querySelectorAll("h1,h2,h3,p,dd,dt,figcaption,label,button,summary,svg.plot text")].filter(shown)
    .filter(node => { const box = node.getBoundingClientRect(); return box.left < -near || box.right > wide + near; });
  for (const node of outside) found.push(`cut off: ${node.textContent.slice(0, 60)}`);
  for (const plot of document.querySelectorAll("svg.plot")) {
    const frame = plot.getBoundingClientRect(), boxes = [...plot.querySelectorAll("text")].filter(shown).map(node => [node, node.getBoundingClientRect()]);
    for (const [node, box] of boxes)
      if (box.left < frame.left - near || box.right > frame.right + near || box.top < frame.top - near || box.bottom > frame.bottom + near)
        found.push(`${plot.closest("figure").id}, beyond the chart: ${node.textContent}`);
    boxes.forEach(([a, one], n) => boxes.slice(n + 1).forEach(([b, other]) => {
      if (one.left < other.right - near && other.left < one.right - near && one.top + 2 < other.bottom - 2 && other.top + 2 < one.bottom - 2)
        found.push(`${plot.closest("figure").id}, on one another: ${a.textContent} | ${b.textContent}`);
    }));
  }
  for (const figure of document.querySelectorAll("figure")) {
    const parts = [".controls", ".legend", "svg.plot", "details"].map(name => figure.querySelector(name)).filter(part => part && shown(part)).map(part => part.getBoundingClientRect());
    parts.forEach((box, n) => { if (n && box.top < parts[n - 1].bottom - near) found.push(`${figure.id}: parts on one another`); });
  }
  if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  return found;
})()
