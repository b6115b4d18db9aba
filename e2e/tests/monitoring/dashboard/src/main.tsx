import { createTheme, type DataFrame, ThemeContext } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import { Component, type ReactNode } from 'react';
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

interface Filled { panel: Panel; frames: DataFrame[] }

const theme = createTheme({ colors: { mode: 'light' } });
const failures: string[] = [];

async function main() {
  const minutes = Number(new URLSearchParams(location.search).get('minutes'));
  const dashboard: Dashboard = await (await fetch('/dashboard.json')).json();
  await initPluginTranslations('grafana');
  const end = Math.floor(Date.now() / 1000 / STEP) * STEP;
  const range = { start: end - minutes * 60, end, step: Math.max(STEP, Math.ceil((minutes * 60) / innerWidth)) };
  const filled = await Promise.all(dashboard.panels.map((panel) => fill(panel, range)));
  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Page title={`${dashboard.title}, last ${minutes} minutes (UTC)`} filled={filled} range={range} />
    </ThemeContext.Provider>,
  );
  await new Promise((resolve) => setTimeout(resolve, DRAWING));
  for (const { panel } of filled) {
    const content = document.getElementById(`content-${panel.id}`);
    if (!content?.innerText.trim()) {
      failures.push(`${panel.title}: nothing is drawn`);
    }
  }
}

async function fill(panel: Panel, range: Range): Promise<Filled> {
  try {
    const frames = await Promise.all(panel.targets.map((target) => query(target, range)));
    return { panel, frames: await fields(panel, frames.flat(), theme) };
  } catch (error) {
    failures.push(`${panel.title}: ${error}`);
    return { panel, frames: [] };
  }
}

function Page({ title, filled, range }: { title: string; filled: Filled[]; range: Range }) {
  const column = (innerWidth - 2 * MARGIN + GAP) / COLUMNS;
  const rows = Math.max(...filled.map(({ panel: { gridPos } }) => gridPos.y + gridPos.h));
  return (
    <div style={{ position: 'relative', height: HEADER + rows * (ROW + GAP) + MARGIN }}>
      <h4 style={{ padding: MARGIN }}>{title}</h4>
      {filled.map(({ panel, frames }) => {
        const { x, y, w, h } = panel.gridPos;
        const size = { width: w * column - GAP, height: h * (ROW + GAP) - GAP };
        const place = { left: MARGIN + x * column, top: HEADER + y * (ROW + GAP), ...size };
        return (
          <div key={panel.id} style={{ position: 'absolute', ...place }}>
            <PanelChrome title={panel.title} description={panel.description} {...size}>
              {(width, height) => (
                <div id={`content-${panel.id}`}>
                  <Guard title={panel.title}>
                    <Visualization {...{ panel, frames, range, theme, width, height }} />
                  </Guard>
                </div>
              )}
            </PanelChrome>
          </div>
        );
      })}
    </div>
  );
}

/** A panel that cannot be drawn leaves the others. */
class Guard extends Component<{ title: string; children: ReactNode }, { failed: boolean }> {
  state = { failed: false };

  static getDerivedStateFromError = () => ({ failed: true });

  componentDidCatch(error: unknown) {
    failures.push(`${this.props.title}: ${error}`);
  }

  render() {
    return this.state.failed ? 'Not drawn' : this.props.children;
  }
}

main()
  .catch((error) => failures.push(String(error)))
  .finally(() => Object.assign(window, { failures }));
