"""A simulated Kit: API v4 as far as Millrace uses it, behaving as Kit is known to; for tests, demos and trying out.

A contract test holds its answers to Kit's own OpenAPI document; what that document does not say is taken from Kit's
pages and recordings. (?) marks what nobody has documented: there it does what is harder on a client.

| simulated | how |
|---|---|
| POST /subscribers | 201 new; 200 known: name and fields change, the state never; above 10 fields 202, set later |
| unknown field keys | ignored, and named in `warnings` of a 2xx |
| GET /subscribers | `status` is `active` unless asked otherwise; `email_address` takes several, with commas |
| GET, PUT /subscribers/{id} | never lags; 422 for an email that another subscriber has |
| POST /subscribers/{id}/unsubscribe | `cancelled`, for good; tags stay |
| GET /subscribers/{id}/tags | a list like the others: it lags (?) |
| GET, POST /tags | names match without regard to case: 201 new, 200 known |
| tag on a subscriber | by id and by email: 201, 200 when held; taking away 204, also when not held (?); 404 |
| GET, POST /custom_fields | 201, 200 when the label makes a key that exists (?) |
| GET /sequences, subscribers of one, adding one | 201, 200 when added before; 422 inactive, its text in an array |
| paging | newest first, `per_page` 500, at most 1000, opaque cursors with `=`, null cursors of an empty page |
| credentials | an API key, or an OAuth token; bulk and purchases refuse the key with 401 |
| rate limit | per credential, in any 60 s, refused requests count (?); 429 is plain text without Retry-After |
| list lag | lists show a change only after `list_lag_seconds`; 0 unless asked |
| faults | 500, 503, 429, 401, hang, reset, cut body, slow; by count, probability, method, path; seeded |

Emails are told apart without regard to case (?). Any subscriber can be tagged and added to a sequence, whatever its
state (?). A repeated add to a sequence changes nothing, also for one with `repeat`. After a restart from a state file,
lists show everything, and the minute's count and the journal begin anew.

Not simulated: forms, broadcasts, purchases, bulk calls, webhooks, segments, statistics, deletions, the `filter` call,
sorting and `include`, the OAuth flow: these answer 404 as Kit does for what it does not know.
"""

from streams.kit.simulator.faults import Fault, FaultKind
from streams.kit.simulator.server import KitSimulator, serve_simulator
from streams.kit.simulator.snapshot import HeldSubscriber, Snapshot

__all__ = ["Fault", "FaultKind", "HeldSubscriber", "KitSimulator", "Snapshot", "serve_simulator"]
