// Installs the editor that the tests run in: code-server from npm, with the ripgrep that is on this machine.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// What code-server's installation would download, under the name that it looks for in the cache first.
const RIPGREP_CACHE = "vscode-ripgrep-cache-1.15.11";
const RIPGREP_NAME = "ripgrep-v13.0.0-10-x86_64-unknown-linux-musl.tar.gz";

const here = import.meta.dirname;
const temporary = mkdtempSync(join(tmpdir(), "nanoscope-e2e-"));

function which(tool, debian) {
  const found = spawnSync("sh", ["-c", `command -v ${tool}`], { encoding: "utf8" });
  if (found.status !== 0) {
    console.error(`${tool} is missing: install it first (${debian} in Debian).`);
    process.exit(1);
  }
  return found.stdout.trim();
}

const ripgrep = which("rg", "ripgrep");
which(process.env.CHROMIUM || "chromium", "chromium");
try {
  mkdirSync(join(temporary, RIPGREP_CACHE));
  execFileSync("cp", ["-L", ripgrep, join(temporary, "rg")]);
  execFileSync("tar", ["-czf", join(temporary, RIPGREP_CACHE, RIPGREP_NAME), "-C", temporary, "rg"]);
  execFileSync("npm", ["ci", "--foreground-scripts", "--no-audit", "--no-fund"], {
    cwd: here,
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ...process.env,
      TMPDIR: temporary,
      npm_config_prefix: undefined, // that of `npm --prefix`, where npx would look for global packages in vain
      npm_config_yes: "true",
      npm_config_unsafe_perm: "true",
    },
  });
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
