import {
  type DataFrame, dateTime, FieldType, getDisplayValueAlignmentFactors, getFieldDisplayValues, getFrameDisplayName,
  type GrafanaTheme2, VizOrientation,
} from '@grafana/data';
import { BigValue, Select, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import type { Panel } from './dashboard';
import { fieldConfig } from './fields';
import type { Range } from './prometheus';

const CHOOSER = 40;

interface Size { width: number; height: number }
interface Drawing extends Size { panel: Panel; frames: DataFrame[]; range: Range; theme: GrafanaTheme2 }

export function Visualization(drawing: Drawing) {
  const { panel, frames, width, height } = drawing;
  if (!frames.some((frame) => frame.length > 0 && frame.fields.some(({ type }) => type !== FieldType.time))) {
    return <div style={{ width, height, display: 'grid', placeItems: 'center' }}>No data</div>;
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
  const values = { fieldConfig: fieldConfig(panel).config, reduceOptions, data: frames, sparkline, replaceVariables, theme };
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
  const legend = { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [], ...panel.options.legend };
  return <TimeSeries {...{ frames, legend, width, height, timeZone: 'utc', timeRange: { from, to, raw: { from, to } } }} />;
}

/** One frame: where there are more, Grafana lets its user choose, and shows the first until then. */
function Table({ panel, frames, width, height }: Drawing) {
  const { showHeader = true, sortBy, cellHeight } = panel.options;
  const options = frames.map((frame, value) => ({ label: getFrameDisplayName(frame), value }));
  const above = frames.length > 1 ? height - CHOOSER : height;
  return (
    <>
      <div style={{ height: above, overflow: 'hidden' }}>
        <TableNG {...{ data: frames[0], width, height: above, sortBy, cellHeight, noHeader: !showHeader }} />
      </div>
      {frames.length > 1 && <Select options={options} value={options[0]} onChange={() => {}} />}
    </>
  );
}
