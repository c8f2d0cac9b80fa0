// One peer for the staff: facts, usage, suspension, links.

import { api, ApiError } from "./api.js";
import { facts, h } from "./dom.js";
import { plot } from "./plot.js";
import { ago, moment, t } from "./text.js";

const REASONS = ["non-payment", "abuse"];

/** Open the dialog of a peer; `changed` is called when something about it was changed. */
export async function openPeer(id, changed) {
  const body = h("div", { class: "stack" });
  const dialog = h("dialog", { "aria-labelledby": "peer-name" }, body);
  const trouble = h("p", { class: "notice bad", role: "alert", hidden: true });
  let link = null;

  const attempt = (work) => async (event) => {
    event?.preventDefault();
    try {
      await work(event);
      trouble.hidden = true;
      await show();
      await changed();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      trouble.textContent = error.message !== "null" ? error.message : t(error.status ? "error" : "error-0", { status: error.status });
      trouble.hidden = false;
    }
  };

  const show = async () => {
    const [peer, usage, tickets] = await Promise.all([
      api("GET", `/peers/${id}`),
      api("GET", `/peers/${id}/usage`),
      // Who may look at peers may not always look at their links.
      api("GET", `/peers/${id}/tickets`).catch(() => null),
    ]);
    body.replaceChildren(
      h("div", { class: "row apart" }, h("h2", { id: "peer-name" }, peer.name), h("button", { onclick: () => dialog.close() }, t("close"))),
      trouble,
      facts([
        [t("status"), peer.is_online && peer.status === "active" ? t("online") : t(`status-${peer.status}`)],
        [t("server"), peer.server_name],
        [t("customer"), peer.customer_id],
        [t("subscriber"), peer.subscriber_id],
        [t("address"), [peer.peer_ipv4, peer.peer_ipv6].filter(Boolean).join(", ")],
        [t("endpoint"), peer.endpoint],
        [t("last-handshake"), peer.last_handshake && ago(peer.last_handshake)],
        [t("expires"), peer.expires_at && moment(peer.expires_at)],
        [t("public-key"), peer.public_key && h("span", { class: "mono" }, peer.public_key)],
        [t("description"), peer.description],
      ]),
      h("h3", {}, t("usage-title")),
      plot(usage),
      suspension(peer, attempt),
      tickets && links(tickets.tickets, attempt),
    );
  };

  function suspension(peer, act) {
    const reason = h("input", { id: "reason", required: true, pattern: "[a-z0-9]([a-z0-9\\-]*[a-z0-9])?", maxlength: 63, list: "reasons", value: REASONS[0] });
    return h(
      "section",
      { class: "stack" },
      h("h3", {}, t("suspend-title")),
      peer.suspensions.map(({ reason: name, by, until }) =>
        h(
          "div",
          { class: "row apart notice" },
          h("span", {}, [t("suspended-for", { reason: name }), by && t("suspended-by", { by }), until && t("lock-until", { time: moment(until) })].filter(Boolean).join(" ")),
          h("button", { "data-resume": name, onclick: act(() => api("POST", `/peers/${id}/resume`, { reason: name })) }, t("resume", { reason: name })),
        ),
      ),
      h(
        "form",
        { class: "row", onsubmit: act(() => api("POST", `/peers/${id}/suspend`, { reason: reason.value })) },
        h("label", {}, t("suspend-reason"), reason),
        h("datalist", { id: "reasons" }, REASONS.map((name) => h("option", { value: name }))),
        h("button", { class: "danger", id: "suspend" }, t("suspend")),
      ),
    );
  }

  function links(tickets, act) {
    const issue = (scope) =>
      act(async () => {
        link = await api("POST", `/peers/${id}/tickets`, { scope });
      });
    return h(
      "section",
      { class: "stack" },
      h("h3", {}, t("links-title")),
      h("p", { class: "small quiet" }, t("links-text")),
      h(
        "div",
        { class: "row" },
        h("button", { id: "link-config", onclick: issue("config") }, t("link-config")),
        h("button", { id: "link-status", onclick: issue("status") }, t("link-status")),
      ),
      link && shown(link),
      tickets.map((ticket) =>
        h(
          "div",
          { class: "row apart" },
          h("span", { class: "small" }, t("link-entry", { scope: t(`scope-${ticket.scope}`), time: moment(ticket.expires_at), by: ticket.issued_by })),
          h("button", { class: "danger", "data-revoke": ticket.name, onclick: act(() => api("DELETE", `/peers/${id}/tickets/${ticket.name}`)) }, t("revoke")),
        ),
      ),
    );
  }

  await show();
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function shown(link) {
  const field = h("input", { id: "link", readonly: true, value: link.url, "aria-label": t(`scope-${link.scope}`), onfocus: (event) => event.target.select() });
  const copy = h("button", { class: "primary" }, t("copy"));
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(link.url);
    copy.textContent = t("copied");
  });
  return h("div", { class: "notice link" }, h("p", {}, t("link-new", { time: moment(link.expires_at) })), field, h("div", {}, copy));
}
