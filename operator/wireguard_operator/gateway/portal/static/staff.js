// The staff's page: servers, and peers with search, suspension and links. It does nothing that the REST API does not let
// the pasted token do, so RBAC decides here as everywhere.

import { api, ApiError, session, signIn, signOut } from "./api.js";
import { h, rich, s } from "./dom.js";
import { openPeer } from "./peer.js";
import { ago, bytes, load, t } from "./text.js";

const view = document.getElementById("view");
const PAGE = 25;
const REFRESH = 10_000;
const STATUSES = ["active", "inactive", "suspended", "disabled", "expired"];
const wanted = { search: "", status: "", offset: 0 };
let turn = 0;

function why(error) {
  return error.message && error.message !== "null" ? error.message : error.status ? t("error", { status: error.status }) : t("error-0");
}

function signInView(trouble) {
  turn += 1;
  const token = h("textarea", { id: "token", required: true, autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const tenant = h("input", { id: "tenant", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const submit = async (event) => {
    event.preventDefault();
    signIn(token.value.trim(), tenant.value.trim());
    await board();
  };
  view.replaceChildren(
    h(
      "form",
      { class: "card stack signin", onsubmit: submit },
      h("h1", {}, t("signin-title")),
      h("p", {}, t("signin-text")),
      trouble && h("p", { class: "notice bad", role: "alert" }, trouble),
      h("label", {}, t("signin-token"), token),
      h("label", {}, t("signin-tenant"), tenant),
      h("button", { class: "primary" }, t("signin")),
      h("p", { class: "small quiet" }, rich(t("signin-how"))),
    ),
  );
  view.removeAttribute("aria-busy");
  token.focus();
}

async function board() {
  turn += 1;
  const mine = turn;
  const servers = h("div", {});
  const peers = h("div", { class: "stack" });
  const trouble = h("p", { class: "notice bad", role: "alert", hidden: true });
  const refresh = async () => {
    try {
      const [found, page] = await Promise.all([api("GET", "/servers?limit=1000"), api("GET", `/peers?${query()}`)]);
      if (mine !== turn) return false;
      servers.replaceChildren(serverList(found.servers));
      peers.replaceChildren(peerTable(page, refresh));
      trouble.hidden = true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (mine !== turn) return false;
      if (error.status === 401 || error.status === 403 || error.status === 400) {
        signOut();
        signInView(why(error));
        return false;
      }
      trouble.textContent = why(error);
      trouble.hidden = false;
    }
    return true;
  };
  if (!(await refresh())) return;
  view.replaceChildren(
    trouble,
    h("div", { class: "row apart" }, h("h1", {}, t("servers")), h("button", { class: "plain", id: "signout", onclick: leave }, t("signout"))),
    servers,
    h("h2", {}, t("peers")),
    tools(refresh),
    peers,
  );
  view.removeAttribute("aria-busy");
  while (mine === turn) {
    await new Promise((done) => setTimeout(done, REFRESH));
    // Not under somebody's hands: a table that is rebuilt takes the focus away.
    if (mine === turn && !document.hidden && !peers.contains(document.activeElement)) await refresh();
  }
}

function leave() {
  signOut();
  signInView();
}

function query() {
  const asked = new URLSearchParams({ limit: PAGE, offset: wanted.offset });
  if (wanted.search) asked.set("search", wanted.search);
  if (wanted.status) asked.set("status", wanted.status);
  return asked;
}

function tools(refresh) {
  let waiting;
  const search = h("input", { type: "search", id: "search", "aria-label": t("search"), placeholder: t("search-short"), autocomplete: "off" });
  search.value = wanted.search;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      Object.assign(wanted, { search: search.value.trim(), offset: 0 });
      void refresh();
    }, 200);
  });
  const filter = h(
    "select",
    { id: "filter", "aria-label": t("filter") },
    h("option", { value: "" }, t("filter-all")),
    STATUSES.map((name) => h("option", { value: name, selected: wanted.status === name }, t(`status-${name}`))),
  );
  filter.addEventListener("change", () => {
    Object.assign(wanted, { status: filter.value, offset: 0 });
    void refresh();
  });
  return h("div", { class: "tools", role: "search" }, search, filter);
}

function serverList(servers) {
  if (servers.length === 0) return h("p", { class: "quiet" }, t("no-servers"));
  return h("ul", { class: "servers" }, servers.map(serverCard));
}

const TONES = { active: "online", degraded: "warn", maintenance: "warn", inactive: "bad" };

function serverCard(server) {
  const percent = Math.min(100, server.utilization_percent ?? 0);
  return h(
    "li",
    { class: "card stack tight", "data-server": server.name },
    h("div", { class: "row apart" }, h("h2", { class: "lesser" }, server.name), h("span", { class: `state small ${TONES[server.status] ?? ""}` }, t(`status-${server.status}`))),
    h("p", { class: "small quiet mono" }, server.public_endpoint),
    server.location && h("p", { class: "small quiet" }, server.location),
    h(
      "div",
      { class: percent >= 90 ? "meter full" : "meter", role: "img", "aria-label": t("server-utilization", { name: server.name, percent: Math.round(percent) }) },
      s("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none" }, s("rect", { width: percent, height: 8 })),
    ),
    h("p", { class: "small" }, t("server-peers", { peers: server.current_peers, capacity: server.max_peers, online: server.online_peers })),
    h("p", { class: "small quiet" }, t("server-traffic", { down: bytes(server.total_tx_bytes), up: bytes(server.total_rx_bytes) })),
  );
}

function peerTable(page, refresh) {
  if (page.peers.length === 0) return h("p", { class: "card quiet" }, t("no-peers"));
  const heads = ["name", "customer", "server", "status", "address", "last-handshake"];
  const move = (step) => () => {
    wanted.offset = Math.max(0, wanted.offset + step * PAGE);
    void refresh();
  };
  const last = Math.min(page.total, page.offset + page.peers.length);
  return h(
    "div",
    { class: "card stack" },
    h("p", { class: "small quiet", id: "range" }, t("peers-range", { from: page.offset + 1, to: last, total: page.total })),
    h(
      "table",
      { "aria-label": t("peers") },
      h("thead", {}, h("tr", {}, heads.map((key) => h("th", { scope: "col" }, t(key))), ["down", "up"].map((key) => h("th", { scope: "col", class: "number" }, t(key))))),
      h(
        "tbody",
        {},
        page.peers.map((peer) =>
          h(
            "tr",
            { "data-peer": peer.name },
            h("td", {}, h("button", { class: "name", onclick: () => openPeer(peer.id, refresh) }, peer.name)),
            h("td", {}, peer.customer_id ?? ""),
            h("td", {}, peer.server_name ?? ""),
            h("td", {}, status(peer)),
            h("td", { class: "mono" }, peer.peer_ipv4 ?? peer.peer_ipv6 ?? ""),
            h("td", {}, peer.last_handshake ? ago(peer.last_handshake) : ""),
            h("td", { class: "number" }, bytes(peer.tx_bytes)),
            h("td", { class: "number" }, bytes(peer.rx_bytes)),
          ),
        ),
      ),
    ),
    page.total > page.peers.length &&
      h(
        "div",
        { class: "row apart" },
        h("button", { disabled: page.offset === 0, onclick: move(-1) }, t("previous")),
        h("button", { disabled: last >= page.total, onclick: move(1) }, t("next")),
      ),
  );
}

/** The status of a peer as a coloured word. */
function status(peer) {
  // Who was suspended a second ago was online a second ago.
  if (peer.is_online && peer.status === "active") return h("span", { class: "state small online" }, t("online"));
  const tone = { suspended: "warn", inactive: "warn", expired: "bad" }[peer.status] ?? "";
  return h("span", { class: `state small ${tone}` }, t(`status-${peer.status}`));
}

await load();
if (session()) await board();
else signInView();
