//! Statements about the registrations of nodes. Leases of nodes are judged by the database's own clock, which is the only one
//! that all of them share; nothing that is stored per message is.

statements! {
    /// Every number that was ever given out: its highest epoch, the highest moment that its ids reached, whether a registration
    /// of it has not ended, whether one of those is in force, and whether it has rested long enough to be given out again.
    NUMBERS = "SELECT number, max(epoch), max(reached), bool_or(ended IS NULL), \
            bool_or(ended IS NULL AND lease_until >= clock_timestamp()), \
            coalesce(max(ended) < clock_timestamp() - interval '10 minutes', false) \
        FROM node GROUP BY number ORDER BY number";
    /// Registers number $1 in epoch $2, for a process on $3 of version $4, for $5 seconds; its ids lie above $6.
    REGISTER = "INSERT INTO node (number, epoch, host, version, started, heard, lease_until, reached, clock_ahead, pinged) \
        VALUES ($1, $2, $3, $4, clock_timestamp(), clock_timestamp(), clock_timestamp() + make_interval(secs => $5), $6, $7, 0)";
    /// Forgets registrations that ended long ago, but for the last one of each number, which says how far its ids went.
    FORGET = "DELETE FROM node WHERE ended < clock_timestamp() - interval '30 days' \
        AND epoch < (SELECT max(n.epoch) FROM node n WHERE n.number = node.number)";
    /// The registration $1, $2 lives for $3 more seconds, its ids reached $4, its clock is $5 ahead; answers the database's time.
    HEARTBEAT = "UPDATE node SET heard = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => $3), \
            reached = greatest(reached, $4::bigint), clock_ahead = $5 \
        WHERE number = $1 AND epoch = $2 AND ended IS NULL RETURNING (extract(epoch FROM heard) * 1000)::bigint";
    /// Who lives and stays.
    LIVING = "SELECT number, epoch FROM node WHERE ended IS NULL AND NOT stopping AND lease_until >= clock_timestamp() \
        ORDER BY number, epoch";
    /// The registration $1, $2 is about to leave.
    STOPPING = "UPDATE node SET stopping = true WHERE number = $1 AND epoch = $2 AND ended IS NULL";
    /// Who has not ended, heard of lately or not.
    UNENDED = "SELECT number, epoch FROM node WHERE ended IS NULL";
    /// Who was not heard of for too long and has not been declared dead.
    OVERDUE = "SELECT number, epoch FROM node WHERE ended IS NULL AND lease_until < clock_timestamp()";
    /// Holds such a registration ($1, $2) as it is until the end of the transaction.
    OVERDUE_LOCK = "SELECT host FROM node WHERE number = $1 AND epoch = $2 AND ended IS NULL AND lease_until < clock_timestamp() \
        FOR UPDATE";
    /// Ends a registration that holds $3 parcels.
    DECLARE_DEAD = "UPDATE node SET ended = clock_timestamp(), parcels = $3 WHERE number = $1 AND epoch = $2 AND ended IS NULL";
    /// Ends one's own, holding $3 parcels, with ids that reached $4.
    DEPART = "UPDATE node SET ended = clock_timestamp(), parcels = $3, reached = greatest(reached, $4::bigint) \
        WHERE number = $1 AND epoch = $2 AND ended IS NULL";
    /// Who ended within $1 seconds.
    ENDED_LATELY = "SELECT number, epoch FROM node WHERE ended > clock_timestamp() - make_interval(secs => $1)";
    /// Holds whoever else takes back what registration $1, $2 held until the end of the transaction, so that each parcel is taken
    /// back whole; says whether it has ended and how many parcels it held.
    ENDED_LOCK = "SELECT ended IS NOT NULL, parcels FROM node WHERE number = $1 AND epoch = $2 FOR UPDATE";
    /// The nodes that live or have not been dead for a day.
    NODES = "SELECT number, epoch, host, version, (extract(epoch FROM started) * 1000)::bigint, \
            (extract(epoch FROM heard) * 1000)::bigint, ended IS NULL AND lease_until >= clock_timestamp(), clock_ahead, stopping \
        FROM node WHERE coalesce(ended, lease_until) > clock_timestamp() - interval '1 day' ORDER BY number, epoch";
    /// A write to one's own registration.
    PING = "UPDATE node SET pinged = $3 WHERE number = $1 AND epoch = $2";
}
