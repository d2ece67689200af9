// Bundles the extension, one script a webview, and, with --tests, the unit tests.
import { copyFileSync, existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as esbuild from "esbuild";

const flags = new Set(process.argv.slice(2));
const production = flags.has("--production");
const common = {
  bundle: true,
  minify: production,
  sourcemap: production ? false : "linked",
  metafile: true,
  logLevel: "warning",
  absWorkingDir: import.meta.dirname,
};

const extension = {
  ...common,
  entryPoints: ["src/extension.ts"],
  outfile: "dist/extension.js",
  platform: "node",
  target: "node20",
  format: "cjs",
  external: ["vscode"],
  mainFields: ["module", "main"],
};

const webviews = {
  ...common,
  entryPoints: Object.fromEntries(
    ["compare", "summary", "trace"]
      .map((name) => [name, `webviews/${name}/main.ts`])
      .filter(([, file]) => existsSync(path.join(import.meta.dirname, file))),
  ),
  outdir: "dist/webviews",
  platform: "browser",
  target: "es2022",
  format: "esm",
  loader: { ".css": "css" },
};

const tests = {
  ...common,
  entryPoints: testFiles("tests"),
  outdir: "build/tests",
  outExtension: { ".js": ".mjs" },
  platform: "node",
  target: "node20",
  format: "esm",
  external: ["vscode", "typescript"],
};

function testFiles(folder) {
  return readdirSync(path.join(import.meta.dirname, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
    .map((entry) => path.relative(import.meta.dirname, path.join(entry.parentPath, entry.name)));
}

if (production) {
  for (const name of ["LICENSE", "CHANGELOG.md"]) {
    copyFileSync(path.join(import.meta.dirname, "..", name), path.join(import.meta.dirname, name));
  }
}

if (flags.has("--watch")) {
  for (const options of [extension, webviews]) {
    await (await esbuild.context(options)).watch();
  }
} else {
  const targets = flags.has("--tests") ? [tests] : [extension, webviews];
  for (const options of targets) {
    rmSync(path.join(import.meta.dirname, options.outdir ?? path.dirname(options.outfile)), {
      recursive: true,
      force: true,
    });
  }
  for (const options of targets) {
    const result = await esbuild.build(options);
    if (flags.has("--metafile")) {
      writeFileSync(path.join(import.meta.dirname, "build", "meta.json"), JSON.stringify(result.metafile));
    }
  }
}
