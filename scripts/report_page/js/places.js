// Where in a tensor elements differ: a map with one cell for a few elements (harness/verdict/places.h). A cell without
// a difference is empty, so a single differing element is visible whatever the others count.

/** The counts as rows of cells. */
function cellsOf(places) {
  const flat = [];
  for (let i = 0; i < places.runs.length; i += 2)
    for (let n = 0; n < places.runs[i + 1]; n++) flat.push(places.runs[i]);
  const [rows, columns] = places.grid;
  return Array.from({length: rows}, (_, r) => flat.slice(r * columns, (r + 1) * columns));
}

function rangeText(index, size, end) {
  const from = index * size;
  const to = Math.min(end, from + size) - 1;
  return from >= to ? String(from) : `${from} to ${to}`;
}

/** The row and the column of an element in the matrix; null if `at` is not an element of it. */
function matrixPlace(at, shape) {
  if (at.length !== shape.length) return null;
  const row = at.slice(0, -1).reduce((sum, n, i) => sum * shape[i] + n, 0);
  return [row, at.length > 0 ? at[at.length - 1] : 0];
}

function placesMap(output) {
  const {places} = output;
  const {shape, cell, grid} = places;
  const cells = cellsOf(places);
  const columns = shape.length > 0 ? shape[shape.length - 1] : 1;
  const rows = shape.slice(0, -1).reduce((n, length) => n * length, 1);
  const hits = cells.flatMap((line, r) => line.map((n, k) => ({n, r, k}))).filter((hit) => hit.n > 0);
  const size = cell[0] * cell[1];
  const where = (hit) => `row ${rangeText(hit.r, cell[0], rows)}, column ${rangeText(hit.k, cell[1], columns)}`;
  const markers = [['first', output.first, 'triangle-up-open'], ['worst', output.worst, 'circle-open']]
                      .filter(([, element]) => element)
                      .map(([name, element, symbol]) => ({name, symbol, place: matrixPlace(element.at, shape)}))
                      .filter((m) => m.place);
  const rowCells = new Set(hits.map((hit) => hit.r)).size;
  const columnCells = new Set(hits.map((hit) => hit.k)).size;
  return figure({
    title: `${output.name}: where elements differ.`,
    height: Math.max(200, Math.min(420, 110 + 8 * grid[0])),
    summary: `Tensor [${shape.join(', ')}], shown as ${rows} rows of ${columns}. A cell has up to ${
                 countOf(size, 'element')}. ` +
        `${hits.length} of ${grid[0] * grid[1]} cells differ, in ${rowCells} of ${grid[0]} rows and ${columnCells} of ${
                 grid[1]} columns of cells.`,
    table: {
      heads: ['cell', 'differing elements'],
      rows: [...hits].sort((a, b) => b.n - a.n).slice(0, 50).map((hit) => [where(hit), hit.n])
    },
    make: (c) => ({
      data: [
        {
          type: 'heatmap',
          z: cells.map((line) => line.map((n) => (n > 0 ? Math.log2(n) + 1 : null))),
          xgap: grid[1] > 40 ? 0 : 1,
          ygap: grid[0] > 40 ? 0 : 1,
          x: cells[0]?.map((_, k) => k) ?? [],
          y: cells.map((_, r) => r),
          hoverongaps: false,
          hoverinfo: 'text',
          zmin: 1,
          zmax: Math.max(2, Math.log2(size) + 1),
          text: cells.map((line, r) => line.map((n, k) => `${where({r, k})}: ${n} differ`)),
          colorscale: [[0, c.heat[0]], [0.5, c.heat[1]], [1, c.heat[2]]],
          showscale: size > 1,
          colorbar:
              {thickness: 12, title: {text: 'count'}, tickvals: [1, Math.log2(size) + 1], ticktext: ['1', String(size)]}
        },
        ...markers.map((m, i) => ({
                         type: 'scatter',
                         mode: 'markers',
                         name: m.name,
                         x: [Math.floor(m.place[1] / cell[1])],
                         y: [Math.floor(m.place[0] / cell[0])],
                         hoverinfo: 'name',
                         marker: {symbol: m.symbol, size: 12 + 5 * i, color: c.text, line: {width: 2}}
                       })),
      ],
      layout: {
        showlegend: true,
        margin: {t: 30},
        plot_bgcolor: c.back,
        xaxis: {
          title: {text: 'column'},
          range: [-0.5, grid[1] - 0.5],
          showgrid: false,
          zeroline: false,
          ...ticks(grid[1], cell[1])
        },
        yaxis: {
          title: {text: 'row'},
          range: [grid[0] - 0.5, -0.5],
          showgrid: false,
          zeroline: false,
          ...ticks(grid[0], cell[0])
        }
      },
    }),
  });
}

/** Ticks at cells, labelled with the first index of the cell. */
function ticks(count, size) {
  const step = Math.max(1, Math.ceil(count / 8));
  const tickvals = Array.from({length: Math.ceil(count / step)}, (_, i) => i * step);
  return {tickvals, ticktext: tickvals.map((i) => String(i * size))};
}
