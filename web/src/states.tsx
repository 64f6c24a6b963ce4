// The pictures for everything that is not the normal case. Each case has its own.
import type { JSX } from "preact";
import { later } from "./later";
import { Key, Outside } from "./parts";
import { now, state } from "./state";
import { age, dateTime, number, plural } from "./words";

const Forbidden = later((m) => m.Forbidden);
const TravelBanner = later((m) => m.TravelBanner);

/** The lines above a view that say how far the view can be trusted. */
export const Banners = (): JSX.Element => (
  <div class="banners">
    <ConnectionBanner />
    <HeldBanner />
    <PastBanner />
  </div>
);

const ConnectionBanner = (): JSX.Element | null => {
  const c = state.connection.value;
  void state.present.value; // The ages below count on.
  if (c.state === "lost") {
    return (
      <div class="banner lost" role="status">
        <strong>No news for {age(now() - c.lastNews)}.</strong> What follows is the last that was received.{" "}
        {c.retryAt > 0 ? `Next attempt in ${age(c.retryAt - now())}.` : "Connecting."} <button type="button" onClick={() => state.retry()}>retry</button>{" "}
        <Outside class="hint" text={c.error} />
      </div>
    );
  }
  if (c.state === "old-build") {
    return (
      <div class="banner" role="status">
        The coordinator was updated. <button type="button" onClick={() => location.reload()}>reload the page</button>
      </div>
    );
  }
  if (c.state === "forbidden") return <Forbidden />;
  return null;
};

/** A guard or the amnesty holds statuses. */
const HeldBanner = (): JSX.Element | null => {
  const c = state.coordinator.value;
  if (!c || state.empty.value || state.route.value.at > 0) return null;
  const until = c.amnestyUntil === undefined ? 0 : Date.parse(c.amnestyUntil);
  const left = until - state.clock.value;
  const guards = c.guards ?? [];
  if (left <= 0 && guards.length === 0) return null;
  return (
    <div class="banner held" role="status">
      <strong>Held, not judged.</strong>{" "}
      {left > 0 && <>The coordinator started {age(parseFloat(c.uptime ?? "0") * 1000)} ago. Statuses are those from before, unconfirmed until {dateTime(until)}. </>}
      {guards.map((g) => (
        <span key={g.zone ?? ""}>
          {g.zone ? <>In zone <Outside text={g.zone} /></> : "In the whole mesh"}, {number(g.doubted ?? 0)} of {plural(g.known ?? 0, "instance")} cannot be reached.{" "}
          {g.faded ? "The guard has expired, so they are UNKNOWN. " : "The guard holds their statuses. "}
        </span>
      ))}
      {(c.unconfirmed ?? 0) > 0 && `${plural(c.unconfirmed!, "instance")} unconfirmed.`}
    </div>
  );
};

const PastBanner = (): JSX.Element | null => {
  if (state.route.value.at > 0) return <TravelBanner />;
  if (!state.paused.value) return null;
  return (
    <div class="banner past" role="status">
      <strong>Paused.</strong> <button type="button" onClick={() => state.pause(false)}>go on</button> <Key>Space</Key>
    </div>
  );
};

/** Nothing has arrived yet. */
export const Loading = (): JSX.Element => {
  const c = state.connection.value;
  const busy = c.state === "connecting" || c.state === "reading";
  return (
    <div class="loading" aria-busy={busy}>
      <p>{c.state === "reading" ? `Reading: ${plural(state.received.value, "entry", "entries")}.` : c.state === "connecting" ? "Connecting to the coordinator." : "Nothing was received so far."}</p>
      {busy && <div class="bones" aria-hidden="true">{[0, 1, 2, 3].map((i) => <div key={i} />)}</div>}
    </div>
  );
};

const program = `srv, err := server.New(server.Config{Service: "payments"})
err = srv.Add(server.Check{Name: "db", Run: db.PingContext})
srv.Register(grpcServer) // adds both health services
go srv.Run(ctx)

mesh, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
mesh.RegisterAsync(client.Instance{
	Service: "payments", Instance: "b", Address: address, Feed: srv.Feed(),
})`;

/** The mesh that is shown has no services. Only a live stream says that none is registered. */
export const NoServices = (): JSX.Element => {
  const { state: connected } = state.connection.value;
  if (state.route.value.at > 0) return <p class="empty">At this time, nothing was registered.</p>;
  return connected === "live" || connected === "old-build" ? <Empty /> : <Loading />;
};

const Empty = (): JSX.Element => (
  <section class="empty">
    <h2>Nothing is registered yet</h2>
    <p>A Go service registers itself:</p>
    <pre tabIndex={0}><code>{program}</code></pre>
    <p>A person registers any service with a gRPC health check:</p>
    <pre tabIndex={0}><code>meshhealth register payments/a --address 127.0.0.1:9000</code></pre>
    <p>This command starts services that fail, to look at:</p>
    <pre tabIndex={0}><code>go run ./cmd/meshhealth demo</code></pre>
  </section>
);

/** A filter matches nothing. */
export const NoMatch = ({ hidden }: { hidden: number }): JSX.Element => (
  <p class="nomatch" role="status">
    Nothing matches <Outside class="filter" text={state.route.value.q} />. It hides {plural(hidden, "row")}.{" "}
    <button type="button" onClick={() => state.go({ q: "" }, true)}>drop the filter</button> <Key>Esc</Key>
  </p>
);

/** The address names no view. */
export const Missing = ({ path }: { path: string }): JSX.Element => (
  <section class="empty">
    <h1>No such page</h1>
    <p><Outside text={path} /> is not a page. <a href="">Now</a> shows the mesh.</p>
  </section>
);
