// The REST API with the token of whoever uses the page. It is kept in this tab only, and goes with it.
//
// A sign-in by OIDC would put its token into the same place: everything else asks `session()`.

const PLACE = "wireguard-session";
const BASE = "/api/v1/wireguard";

/** An answer other than success, with the sentence of the API. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The token and the tenant; null before somebody has signed in. */
export function session() {
  return JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
}

export function signIn(token, tenant) {
  sessionStorage.setItem(PLACE, JSON.stringify({ token, tenant }));
}

export function signOut() {
  sessionStorage.removeItem(PLACE);
}

/** Ask; the JSON of the answer. */
export async function api(method, path, body) {
  const { token, tenant } = session() ?? {};
  const headers = { Authorization: `Bearer ${token}` };
  if (tenant) headers["X-Tenant-ID"] = tenant;
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(BASE + path, { method, headers, body: body && JSON.stringify(body), credentials: "omit" });
  } catch {
    throw new ApiError(0, null);
  }
  const told = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(answer.status, typeof told?.detail === "string" ? told.detail : null);
  return told;
}
