// The page behind a link. Its address is /p/<ticket>#t=<token>: the token stays in the browser until it is sent in a header.
// Nothing is used up before the subscriber presses a button, so a mail scanner that opens the link does no harm.

import { h, facts } from "./dom.js";
import { plot } from "./plot.js";
import { qr } from "./qr.js";
import { setup } from "./setup.js";
import { ago, bytes, clock, country, load, maybe, moment, t } from "./text.js";

const view = document.getElementById("view");
const QUICK = 5_000;
const SLOW = 30_000;
const QUICK_FOR = 180_000;
const TONE = { online: "online", suspended: "warn", preparing: "warn", expired: "bad", disabled: "bad", failed: "bad" };

class Refused extends Error {
  constructor(status) {
    super(`status ${status}`);
    this.status = status;
  }
}

async function ask(ticket, path, method = "GET") {
  const answer = await fetch(`/p/${ticket.name}/${path}`, {
    method,
    headers: { Authorization: `Bearer ${ticket.token}` },
    credentials: "omit",
  });
  if (!answer.ok) throw new Refused(answer.status);
  return answer.json();
}

function show(...children) {
  view.replaceChildren(...children);
  view.removeAttribute("aria-busy");
  // Those who do not see the page hear what it says now.
  const title = view.querySelector("h1");
  title?.setAttribute("tabindex", "-1");
  title?.focus({ preventScroll: true });
}

function message(title, text, again) {
  show(
    h("section", { class: "card stack" }, h("h1", {}, t(title)), h("p", {}, t(text)), again && h("div", {}, h("button", { class: "primary", onclick: again }, t("try-again")))),
  );
}

function trouble(error, again) {
  if (error instanceof Refused && error.status === 410) message("over-title", "over-text");
  else if (error instanceof Refused && error.status === 409) message("early-title", "early-text", again);
  else if (error instanceof Refused && error.status === 429) message("busy-title", "busy-text", again);
  else message("away-title", "away-text", again);
}

async function begin() {
  const ticket = {
    name: location.pathname.split("/").pop(),
    token: new URLSearchParams(location.hash.slice(1)).get("t"),
  };
  if (!ticket.token) {
    message("incomplete-title", "incomplete-text");
    return;
  }
  try {
    const about = await ask(ticket, "ticket");
    document.title = t("title", { name: about.name });
    if (about.scope === "config") offer(ticket, about);
    else await watch(ticket, view, true);
  } catch (error) {
    trouble(error, begin);
  }
}

function offer(ticket, about) {
  const button = h("button", { class: "primary lead-action", id: "reveal" }, t("reveal"));
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = t("revealing");
    try {
      const configuration = await ask(ticket, "config", "POST");
      // The link is used up. It leaves the address bar and the history of this tab with it.
      history.replaceState(null, "", location.pathname);
      deliver(configuration);
    } catch (error) {
      trouble(error, begin);
    }
  });
  show(
    h(
      "section",
      { class: "card stack" },
      h("h1", {}, t("offer-title")),
      h("p", { class: "lead" }, t("offer-text")),
      h("p", { class: "notice" }, t("offer-once", { time: clock(about.expires_at) })),
      button,
    ),
  );
}

function deliver(configuration) {
  const file = URL.createObjectURL(new Blob([configuration.config], { type: "application/octet-stream" }));
  const live = h("div", { class: "stack", id: "live" });
  show(
    h("h1", {}, t("deliver-title")),
    h("p", { class: "notice" }, t("deliver-once")),
    h(
      "section",
      { class: "card stack" },
      configuration.qr && h("h2", {}, t("scan-title")),
      configuration.qr && h("div", { class: "code" }, qr(configuration.qr, t("qr-label")), h("p", { class: "small quiet" }, t("scan-text"))),
      !configuration.has_private_key && h("p", { class: "notice" }, t("device-key")),
      configuration.has_private_key && !configuration.qr && h("p", { class: "notice" }, t("qr-too-long")),
      h("a", { class: "button primary lead-action", id: "download", href: file, download: "wg0.conf" }, t("download")),
      h("p", { class: "small quiet" }, t("download-text")),
    ),
    live,
    h("section", { class: "card stack" }, h("h2", {}, t("setup-title")), setup(Boolean(configuration.qr))),
  );
  if (configuration.status_ticket) {
    void watch({ name: configuration.status_ticket, token: configuration.status_token }, live, false);
  }
}

/** Show the status in a place of the page and keep it fresh. */
async function watch(ticket, place, whole) {
  const first = render(await ask(ticket, "status"), whole);
  if (whole) show(...first.nodes);
  else place.replaceChildren(...first.nodes);
  const began = Date.now();
  for (;;) {
    await pause(Date.now() - began < QUICK_FOR ? QUICK : SLOW);
    try {
      first.update(await ask(ticket, "status"));
    } catch (error) {
      if (error instanceof Refused && error.status === 410) {
        if (whole) trouble(error);
        else place.append(h("p", { class: "small quiet" }, t("live-over")));
        return;
      }
      // A gap in the network: the next turn tries again.
    }
  }
}

/** Wait; a page that nobody looks at waits until somebody does. */
async function pause(milliseconds) {
  await new Promise((done) => setTimeout(done, milliseconds));
  if (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

function render(status, whole) {
  const state = h("p", { role: "status" });
  const body = h("div", { class: "stack" });
  let said = "";
  const update = (now) => {
    if (said !== now.state) {
      said = now.state;
      state.replaceChildren(h("span", { class: `state ${TONE[now.state] ?? ""}`, "data-state": now.state }, t(`state-${now.state}`)));
    }
    body.replaceChildren(...details(now, whole ? "h2" : "h3"));
  };
  update(status);
  const title = h(whole ? "h1" : "h2", {}, t("status-title"));
  return { nodes: [h("section", { class: "card stack" }, h("div", { class: "row apart" }, title, state), body)], update };
}

function details(status, heading) {
  const place = status.place && [status.place.city ?? status.place.name, status.place.country && country(status.place.country)].filter(Boolean).join(", ");
  return [
    h("p", { class: "quiet" }, t(`state-${status.state}-text`)),
    ...status.suspensions.map((lock) =>
      h(
        "p",
        { class: "notice" },
        maybe(`reason-${lock.reason}`) ?? t("reason-other", { reason: lock.reason }),
        " ",
        t(`mode-${lock.mode}`),
        lock.until ? ` ${t("lock-until", { time: moment(lock.until) })}` : "",
      ),
    ),
    facts([
      [t("downloaded"), bytes(status.download_bytes)],
      [t("uploaded"), bytes(status.upload_bytes)],
      [t("counted-since"), status.since && moment(status.since)],
      [t("last-handshake"), status.last_handshake && ago(status.last_handshake)],
      [t("server-place"), place],
      [t("addresses"), status.addresses.join(", ")],
      [t("expires"), status.expires_at && moment(status.expires_at)],
    ]),
    // A picture of nothing says nothing.
    ...(status.download_bytes + status.upload_bytes > 0 ? [h(heading, { class: "lesser" }, t("usage-title")), plot(status.usage)] : []),
  ];
}

await load();
await begin();
