// Builds the sections of the page.

function contents() {
  const nav = document.getElementById('contents');
  const titles = [...document.querySelectorAll('main section[id] > h2')];
  nav.replaceChildren(
      el('ul', {}, titles.map((h2) => el('li', {}, el('a', {href: '#' + h2.parentElement.id}, h2.textContent)))));
  nav.hidden = titles.length < 2;
}

function showRun(run, data, place) {
  place.replaceChildren(
      ...(run.hasErrors ? [] :
                          [el('p', {class: 'notice'},
                              'This results file has no statistics of the elements’ errors: ' +
                                  'ULP histograms and signed bias are missing. Write it with --errors to have them.')]),
      opsSection(run), casesSection(run, data.verdicts));
}

/** The run that is shown first: the first one with a difference, else the first one. */
function firstShown(runs) { return runs.find((run) => DIFFERENCES.some((v) => run.counts[v] > 0)) ?? runs[0]; }

async function start() {
  const loading = document.getElementById('loading');
  loading.hidden = false;
  const data = await loadData();
  const sections = document.getElementById('sections');
  const place = el('div');
  const add = (part) => part && sections.append(part);
  add(trendSection(data.runs, data));
  if (data.runs.length > 1) {
    add(choice(
        'Results to show', data.runs.map((run) => [String(run.index), run.label]), String(firstShown(data.runs).index),
        (index) => {
          showRun(data.runs[index], data, place);
          contents();
        }));
  }
  if (data.runs.length > 0) {
    showRun(firstShown(data.runs), data, place);
    add(place);
  }
  add(benchSection(data.benches, data));
  contents();
  loading.remove();
  openCaseOfAddress(data);
  document.documentElement.dataset.ready = String(Math.round(performance.now()));  // ms since the page was opened
}

start().catch((error) => {
  const loading = document.getElementById('loading');
  loading.hidden = false;
  loading.textContent = typeof DecompressionStream === 'undefined' ?
      'This browser is too old for the tables and plots: it has no DecompressionStream. The verdicts above are complete.' :
      `The tables and plots cannot be shown: ${visible(error.message)}. The verdicts above are complete.`;
});
