// Plots by Plotly. It is unpacked when the first plot comes into view, so that the page opens fast.

let plotlyLoading = null;

function loadPlotly() {
  plotlyLoading ??= unpack('plotly').then((code) => {
    const script = document.createElement('script');
    script.textContent = code;
    document.head.append(script);
  });
  return plotlyLoading;
}

/** The colours of the present scheme, light or dark. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue('--' + name).trim();
  return {
    text: read('text'),
    faint: read('line'),
    main: read('plot'),
    bad: read('bad'),
    other: read('plot-2'),
    back: read('cell'),
    series: ['plot', 'plot-2', 'plot-3', 'plot-4'].map(read),
    heat: ['heat-1', 'heat-2', 'heat-3'].map(read)
  };
}

const NARROW = matchMedia('(max-width: 640px)');
const DARK = matchMedia('(prefers-color-scheme: dark)');

function baseLayout(c, height) {
  const axis = {gridcolor: c.faint, zerolinecolor: c.faint, linecolor: c.faint, automargin: true, fixedrange: true};
  return {
    height,
    margin: {l: 50, r: 15, t: 10, b: 45},
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    font: {color: c.text, family: 'system-ui, sans-serif', size: 12},
    showlegend: false,
    dragmode: false,
    legend: {orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0},
    xaxis: {...axis},
    yaxis: {...axis},
    hoverlabel: {align: 'left'},
  };
}

/** Joins two layouts; axes are joined field by field. */
function joined(base, more) {
  const layout = {...base, ...more};
  for (const key of ['xaxis', 'yaxis', 'margin']) layout[key] = {...base[key], ...more[key]};
  return layout;
}

const drawings = new Map();  // element of a plot -> the function that draws it

const inView = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    inView.unobserve(entry.target);
    drawings.get(entry.target)?.();
  }
}, {rootMargin: '300px'});

function redrawAll() {
  for (const [place, draw] of drawings) {
    if (!place.isConnected)
      drawings.delete(place);
    else if (place.classList.contains('drawn'))
      draw();
  }
}
DARK.addEventListener('change', redrawAll);
NARROW.addEventListener('change', redrawAll);

/**
 * A figure with a plot. `summary` says in words what the plot shows. `make(colours)` returns {data, layout}. `table`
 * (optional) is {heads, rows}, the same values as a table that can be opened.
 */
function figure({title, summary, make, height = 260, table = null}) {
  const place = el('div', {
    class: 'plot',
    role: 'img',
    'aria-label': `${visible(title)}. ${visible(summary)}`,
    style: `min-height: ${height}px`
  });
  drawings.set(place, async () => {
    try {
      await loadPlotly();
      const c = colours();
      const {data, layout} = make(c);
      await Plotly.react(place, data, joined(baseLayout(c, height), layout), {displayModeBar: false, responsive: true});
      place.classList.add('drawn');
    } catch (error) {
      place.replaceChildren(el('p', {class: 'notice'}, `The plot cannot be drawn: ${error.message}`));
    }
  });
  inView.observe(place);
  const values = table && table.rows.length > 0 &&
      el('details', {}, el('summary', {}, 'The same as a table'),
         scrolling(title, plainTable(title, table.heads, table.rows)));
  return el('figure', {}, el('figcaption', {}, el('strong', {}, title), el('span', {}, ' ' + summary)), place, values);
}

/** The range of a logarithmic axis on which a count of 1 is visible. */
function countRange(bars) { return [Math.log10(0.5), Math.log10(Math.max(2, ...bars.map((b) => b[1]))) + 0.2]; }

/**
 * Bars of counts; `bars` are [label, count] pairs. A count of zero is not drawn on the logarithmic axis. `labels`
 * (optional) are [place, text] pairs of the axis, in place of the labels of the bars.
 */
function countBars({title, summary, bars, xTitle, labels = null, limitAfter = null, highlight = () => false, height}) {
  return figure({
    title,
    summary,
    height,
    table: {
      heads: [xTitle, 'elements'],
      rows: bars.filter(([, n]) => n > 0).map(([label, n]) => [label, n.toLocaleString('en')])
    },
    make: (c) => ({
      data: [{
        type: 'bar',
        x: bars.map((_, i) => i),
        y: bars.map((b) => b[1]),
        hoverinfo: 'text',
        hovertext: bars.map(([label, n]) => `${forPlotly(label)}: ${n.toLocaleString('en')}`),
        marker: {
          color: bars.map((b) => (highlight(b[0]) ? c.bad : c.main)),
          pattern: {shape: bars.map((b) => (highlight(b[0]) ? '/' : ''))}
        },
      }],
      layout: {
        bargap: 0.08,
        yaxis: {type: 'log', title: {text: 'elements'}, dtick: 1, exponentformat: 'power', range: countRange(bars)},
        xaxis: {
          title: {text: xTitle},
          tickvals: labels ? labels.map((l) => l[0]) : bars.map((_, i) => i),
          ticktext: labels ? labels.map((l) => l[1]) : bars.map((b) => forPlotly(b[0], 14))
        },
        shapes: limitAfter === null ? [] : [{
          type: 'line',
          x0: limitAfter,
          x1: limitAfter,
          yref: 'paper',
          y0: 0,
          y1: 1,
          line: {color: c.bad, dash: 'dash'}
        }],
      },
    }),
  });
}
