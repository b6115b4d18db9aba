import {
  type DataFrame, dateTime, FieldType, getDisplayValueAlignmentFactors, getFieldDisplayValues,
  type GrafanaTheme2, VizOrientation,
} from '@grafana/data';
import { BigValue, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import type { Panel } from './dashboard';
import { fieldConfig } from './fields';
import type { Range } from './prometheus';

interface Drawing {
  panel: Panel;
  frames: DataFrame[];
  range: Range;
  theme: GrafanaTheme2;
  width: number;
  height: number;
}

export function Visualization(drawing: Drawing) {
  const { panel, frames, width, height } = drawing;
  if (!frames.some((frame) => frame.length > 0 && frame.fields.some(({ type }) => type !== FieldType.time))) {
    const said = panel.fieldConfig.defaults.noValue ?? 'No data';
    return <div style={{ width, height, display: 'grid', placeItems: 'center' }}>{said}</div>;
  }
  const Drawn = { stat: Stat, timeseries: Graph, table: Table }[panel.type];
  if (!Drawn) {
    throw new Error(`nothing here draws panels of type ${panel.type}`);
  }
  return <Drawn {...drawing} />;
}

function Stat({ panel, frames, theme, ...size }: Drawing) {
  const { reduceOptions, orientation = VizOrientation.Auto, wideLayout = true, ...given } = panel.options;
  const options: any = { graphMode: 'area', colorMode: 'value', ...given };
  const [sparkline, replaceVariables] = [options.graphMode !== 'none', (text: string) => text];
  const { config } = fieldConfig(panel);
  const values = { fieldConfig: config, reduceOptions, data: frames, sparkline, replaceVariables, theme };
  return (
    <VizRepeater
      {...{ ...size, orientation, source: frames, renderCounter: 0, itemSpacing: 3, autoGrid: true }}
      getValues={() => getFieldDisplayValues({ ...values, timeZone: 'utc' })}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value: { display, sparkline }, orientation: _, ...slot }) => (
        <BigValue {...options} {...slot} {...{ value: display, sparkline, theme, disableWideLayout: !wideLayout }} />
      )}
    />
  );
}

function Graph({ panel, frames, range, width, height }: Drawing) {
  const [from, to] = [dateTime(range.start * 1000), dateTime(range.end * 1000)];
  const timeRange = { from, to, raw: { from, to } };
  const legend = { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [], ...panel.options.legend };
  return <TimeSeries {...{ frames, legend, width, height, timeZone: 'utc', timeRange }} />;
}

/** Where there are more frames than one, Grafana too shows the first until its user chooses. */
function Table({ panel, frames: [data], ...size }: Drawing) {
  const { showHeader = true, sortBy, cellHeight } = panel.options;
  return <TableNG {...{ data, ...size, sortBy, cellHeight, noHeader: !showHeader }} />;
}
