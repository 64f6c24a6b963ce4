// Drives Debian's Firefox. playwright-core needs commands that this version does not have, so this speaks
// Marionette, the protocol of geckodriver: texts of JSON with their length before them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { existsSync } from "node:fs";
import { folder, until } from "./rig.mjs";

const executable = process.env.FIREFOX_ESR ?? "/usr/bin/firefox-esr";

const freePort = async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
};

/** Starts Firefox and returns what a test needs: open, run, screenshot. */
export const startFirefox = async (t) => {
  if (!existsSync(executable)) throw new Error(`${executable} is missing: \`make browsers\` installs it`);
  const profile = await folder(t);
  const port = await freePort();
  writeFileSync(join(profile, "user.js"), [
    `user_pref("marionette.port", ${port});`, 'user_pref("browser.shell.checkDefaultBrowser", false);', 'user_pref("datareporting.policy.dataSubmissionEnabled", false);',
    'user_pref("app.update.enabled", false);', 'user_pref("network.captive-portal-service.enabled", false);', 'user_pref("network.connectivity-service.enabled", false);',
    'user_pref("browser.aboutwelcome.enabled", false);', 'user_pref("toolkit.telemetry.server", "");', 'user_pref("extensions.update.enabled", false);',
  ].join("\n"));
  const child = spawn(executable, ["--headless", "--marionette", "--no-remote", "--profile", profile, "about:blank"], { stdio: "ignore", env: { ...process.env, HOME: profile } });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  });
  const socket = await until("Firefox listens", 60, () => new Promise((resolve) => {
    const s = connect(port, "127.0.0.1");
    s.once("connect", () => resolve(s));
    s.once("error", () => resolve(undefined));
  }));
  t.after(() => socket.destroy());
  const waiting = new Map();
  let buffer = Buffer.alloc(0);
  socket.on("data", (b) => {
    buffer = Buffer.concat([buffer, b]);
    for (;;) {
      const colon = buffer.indexOf(":");
      const length = colon < 0 ? NaN : Number(buffer.subarray(0, colon));
      if (!(buffer.length >= colon + 1 + length)) return;
      const message = JSON.parse(buffer.subarray(colon + 1, colon + 1 + length));
      buffer = buffer.subarray(colon + 1 + length);
      // The first message is a greeting. An answer is [1, id, error, result].
      if (Array.isArray(message)) waiting.get(message[1])?.(message);
    }
  });
  let last = 0;
  const send = (name, parameters = {}) => new Promise((resolve, reject) => {
    const id = ++last;
    waiting.set(id, ([, , error, result]) => (error ? reject(new Error(`${name}: ${error.message}`)) : resolve(result)));
    const text = JSON.stringify([0, id, name, parameters]);
    socket.write(`${Buffer.byteLength(text)}:${text}`);
  });
  await send("WebDriver:NewSession", {});
  return {
    open: (url) => send("WebDriver:Navigate", { url }),
    /** Runs the body of a function in the page and returns its result. */
    run: async (script) => (await send("WebDriver:ExecuteScript", { script, args: [] })).value,
    screenshot: async (path) => writeFileSync(path, Buffer.from((await send("WebDriver:TakeScreenshot", { full: false })).value, "base64")),
  };
};
