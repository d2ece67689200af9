// axe-core's findings in each view and theme, and a walk by keyboard alone; fails where there are serious ones.
import { addAxe, drawn, start } from "./browser.mjs";
import { THEMES } from "./themes.mjs";

const SERIOUS = new Set(["serious", "critical"]);

const harness = await start();
let failed = false;
for (const view of ["compare", "summary", "trace"]) {
  for (const theme of Object.keys(THEMES)) {
    const { page, frame, problems } = await harness.open({
      view,
      theme,
      trace: harness.nearest(52),
      ...(view === "compare" ? { other: harness.nearest(60) } : {}),
      width: 500,
      height: 1400,
    });
    if (view === "compare") {
      await frame.waitForSelector('.matrices[data-complete="true"]');
      await frame.locator(".pair-window").last().focus();
      await page.keyboard.press("End");
    } else if (view === "summary") {
      await frame.waitForSelector(".sparkline canvas");
    } else {
      await drawn(frame);
      await page.evaluate(() => window.harness.select({ token: 20 }));
      await frame.waitForSelector(".row-table tfoot td");
    }
    await addAxe(frame);
    const { violations } = await frame.evaluate(() => window.axe.run(document));
    for (const { id, impact, help, nodes } of violations) {
      failed ||= SERIOUS.has(impact);
      const [first] = nodes;
      console.log(`${view}, ${theme}: ${impact} ${id}: ${help} (${nodes.length}) ${first.html.slice(0, 160)}`);
      console.log(`    ${first.any.concat(first.all)[0]?.message ?? ""}`);
    }
    const blocked = await frame.evaluate(() => window.violations);
    for (const problem of [...problems, ...blocked]) {
      failed = true;
      console.log(`${view}, ${theme}: ${problem}`);
    }
    console.log(`${view}, ${theme}: ${violations.length} findings`);
    await page.close();
  }
}
await harness.close();
process.exitCode = failed ? 1 : 0;
