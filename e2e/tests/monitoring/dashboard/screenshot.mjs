import { createReadStream } from 'node:fs';
import { createServer, get } from 'node:http';
import { extname, join } from 'node:path';
import { build } from 'esbuild';
import puppeteer from 'puppeteer-core';

const [prometheus, dashboard, out, minutes = '15'] = process.argv.slice(2);
if (!out) {
  console.error('node screenshot.mjs PROMETHEUS_URL DASHBOARD.json OUT.png [MINUTES=15]');
  process.exit(1);
}
const HERE = import.meta.dirname;
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const PATIENCE = 120_000;
const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' };
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/dist/main.css">
  <body style="margin: 0"><script type="module" src="/dist/main.js"></script>`;

await build({
  absWorkingDir: HERE, entryPoints: ['src/main.tsx'], outdir: 'dist', bundle: true, splitting: true,
  format: 'esm', jsx: 'automatic', define: { 'process.env.NODE_ENV': '"production"' },
  loader: { '.ttf': 'dataurl' }, logLevel: 'error',
});

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://page');
  if (pathname === '/') {
    response.setHeader('content-type', 'text/html').end(PAGE);
  } else if (pathname.startsWith('/api/')) {
    const forward = (answer) => answer.pipe(response.writeHead(answer.statusCode, answer.headers));
    get(new URL(request.url, prometheus), forward)
      .on('error', ({ message }) => response.writeHead(502).end(JSON.stringify({ error: `Prometheus: ${message}` })));
  } else {
    // Grafana's components look for their icons below /public/build.
    const file = join(HERE, pathname.replace('/public/build', '/node_modules/@grafana/ui/dist/public'));
    response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream');
    createReadStream(pathname === '/dashboard.json' ? dashboard : file)
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const failures = [];
const browser = await puppeteer.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--lang=en-US'] });
try {
  const page = await browser.newPage();
  page.on('pageerror', (error) => failures.push(`In the page: ${error}`));
  await page.setViewport({ width: 1600, height: 1000 });
  await page.goto(`http://127.0.0.1:${server.address().port}/?minutes=${minutes}`);
  const ended = await page.waitForFunction('window.failures', { timeout: PATIENCE });
  failures.push(...(await ended.jsonValue()));
  await page.screenshot({ path: out, fullPage: true });
} catch (error) {
  failures.push(String(error));
} finally {
  await browser.close();
  server.close();
}
failures.forEach((failure) => console.error(failure));
process.exit(failures.length && 1);
