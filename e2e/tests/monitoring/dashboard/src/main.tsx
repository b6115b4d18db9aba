import { createTheme, type DataFrame, ThemeContext } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import type { ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import type { Dashboard, Panel } from './dashboard';
import { fields } from './fields';
import { Visualization } from './panels';
import { query, type Range } from './prometheus';

// Grafana's grid, and what is around it.
const [COLUMNS, ROW, GAP, MARGIN, HEADER] = [24, 30, 8, 16, 56];
/** Seconds: between two points of a line. */
const STEP = 5;
/** Milliseconds: graphs are drawn a few frames after their elements are there. */
const DRAWING = 2000;

const theme = createTheme({ colors: { mode: 'light' } });
const failures: string[] = [];

async function main() {
  const minutes = Number(new URLSearchParams(location.search).get('minutes'));
  const { title, panels }: Dashboard = await (await fetch('/dashboard.json')).json();
  await initPluginTranslations('grafana');
  const end = Math.floor(Date.now() / 1000 / STEP) * STEP;
  const range = { start: end - minutes * 60, end, step: Math.max(STEP, Math.ceil((minutes * 60) / innerWidth)) };
  draw(title, `padding: ${MARGIN}px`, <><GlobalStyles /><h4>{title}, last {minutes} minutes (UTC)</h4></>);
  const drawn = await Promise.all(panels.map((panel) => fill(panel, range)));
  await new Promise((resolve) => setTimeout(resolve, DRAWING));
  const empty = drawn.filter((box) => !box.querySelector('section > div:last-child')?.textContent);
  failures.push(...empty.map(({ title }) => `${title}: nothing is drawn`));
}

async function fill(panel: Panel, range: Range): Promise<HTMLElement> {
  const { x, y, w, h } = panel.gridPos;
  const column = (innerWidth - 2 * MARGIN + GAP) / COLUMNS;
  const size = { width: w * column - GAP, height: h * (ROW + GAP) - GAP };
  // The padding is the margin below the last row.
  const place = `position: absolute; left: ${MARGIN + x * column}px; top: ${HEADER + y * (ROW + GAP)}px`;
  const style = `${place}; padding-bottom: ${MARGIN}px`;
  if (panel.type === 'row') {
    return draw(panel.title, style, <section><div><h5>{panel.title}</h5></div></section>);
  }
  const queries = panel.targets.map((target) => query(target, range));
  const data = Promise.all(queries).then((frames) => fields(panel, frames.flat(), theme));
  let statusMessage: string | undefined;
  const frames = await data.catch((error): DataFrame[] => {
    statusMessage = `${error}`;
    failures.push(`${panel.title}: ${error}`);
    return [];
  });
  return draw(panel.title, style, (
    <PanelChrome title={panel.title} description={panel.description} statusMessage={statusMessage} {...size}>
      {(width, height) => <Visualization {...{ panel, frames, range, theme, width, height }} />}
    </PanelChrome>
  ));
}

/** A root for each, so that one that cannot be drawn leaves the others. */
function draw(title: string, style: string, content: ReactNode): HTMLElement {
  const box = document.body.appendChild(document.createElement('div'));
  box.title = title;
  box.style.cssText = style;
  const root = createRoot(box, { onUncaughtError: (error) => failures.push(`${title}: ${error}`) });
  root.render(<ThemeContext.Provider value={theme}>{content}</ThemeContext.Provider>);
  return box;
}

main()
  .catch((error) => failures.push(String(error)))
  .finally(() => Object.assign(window, { failures }));
