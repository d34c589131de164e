// client_links.c - open, pack, send, and remember what was refused.

#include "client_links.h"

#include "log.h"
#include "must.h"

#include <errno.h>
#include <galleon/status.h>
#include <stdlib.h>
#include <sys/epoll.h>

enum {
    ROUTING_ID_BYTES = 17,  // printable
    PURPOSE_ROUTING_ID = 11 // of the seed; the core has its own
};

static uint32_t
bit_of(uint32_t endpoint)
{
    return (uint32_t)1 << endpoint;
}

// ---- opening and closing ---------------------------------------------------------------

bool
client_links_init(struct client_links *self, const char *brokers,
                  const mdp_client_options_t *options, const uint8_t seed[32])
{
    *self = (struct client_links){.epoll_fd = -1,
                                  .has_printable_id = options->printable_id,
                                  .message_bytes_max = options->message_bytes_max};
    prng_init(&self->names, seed, PURPOSE_ROUTING_ID);
    if (!endpoints_init(&self->endpoints, brokers))
        return false;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd >= 0)
        return true;
    endpoints_release(&self->endpoints);
    errno = ENOMEM;
    return false;
}

static void
close_link(struct client_links *self, uint32_t endpoint, int linger_ms)
{
    struct link *link = &self->links[endpoint];
    link_unwatch(link, self->epoll_fd);
    packer_clear(&link->packer); // the core has taken back what was in it
    link_close(link, linger_ms);
    self->cut &= ~bit_of(endpoint);
}

void
client_links_release(struct client_links *self, int linger_ms)
{
    for (uint32_t i = 0; i < self->endpoints.count; i++)
        close_link(self, i, linger_ms);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    free(self->refused);
    endpoints_release(&self->endpoints);
    *self = (struct client_links){.epoll_fd = -1};
}

void
client_links_close(struct client_links *self, uint32_t endpoint)
{
    close_link(self, endpoint, 0);
}

// draw_routing_id: "one letter that is not m or i, then 16 random characters", for the
// Guide's C++ broker.
static void
draw_routing_id(struct client_links *self, char id[ROUTING_ID_BYTES + 1])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    id[0] = 'G';
    for (size_t i = 1; i < ROUTING_ID_BYTES; i++)
        id[i] = digits[prng_below(&self->names, sizeof digits - 1)];
    id[ROUTING_ID_BYTES] = '\0';
}

void
client_links_open(struct client_links *self, uint32_t endpoint)
{
    struct link *link = &self->links[endpoint];
    const char *text = self->endpoints.texts[endpoint];
    char id[ROUTING_ID_BYTES + 1];
    draw_routing_id(self, id);
    must(!link_is_open(link));
    const char *routing_id = self->has_printable_id ? id : NULL;
    int status = link_open(link, LINK_READS_ON, text, routing_id, self->message_bytes_max);
    if (status == GALLEON_OK && link_watch(link, self->epoll_fd) == 0)
        return;
    if (status == GALLEON_OK)
        status = GALLEON_NO_MEMORY; // epoll had no room
    log_warn("MDP-CLIENT-CONNECT", "endpoint=%s why=\"%s\"", text, galleon_strerror(status));
    close_link(self, endpoint, 0);
    self->failed |= bit_of(endpoint);
}

// ---- sending -----------------------------------------------------------------------------

// refuse remembers what the core is to be told. Out of memory it is not: the attempt
// ends by its time.
static void
refuse(struct client_links *self, uint32_t endpoint, uint64_t token)
{
    self->refusing |= bit_of(endpoint);
    if (token == 0)
        return; // a CANCEL or a HEARTBEAT
    if (self->refused_count == self->refused_capacity) {
        size_t capacity = 2 * self->refused_capacity + 64;
        struct refused_send *larger = realloc(self->refused, capacity * sizeof *larger);
        if (larger == NULL)
            return;
        self->refused = larger;
        self->refused_capacity = capacity;
    }
    self->refused[self->refused_count++] = (struct refused_send){endpoint, token};
}

// write_pack sends what is packed for one broker; false: it was refused.
static bool
write_pack(struct client_links *self, uint32_t endpoint)
{
    struct link *link = &self->links[endpoint];
    if (link->packer.used == 0)
        return true;
    bool is_sent = packer_send(&link->packer, link->handle, NULL) == 0;
    for (size_t i = 0; !is_sent && i < link->packer.entry_count; i++)
        refuse(self, endpoint, link->packer.entries[i].token);
    packer_clear(&link->packer);
    return is_sent;
}

static bool
pack(struct client_links *self, uint32_t endpoint, struct client_effect *effect)
{
    struct packer *packer = &self->links[endpoint].packer;
    struct packer_entry entry = {
        .side = MDP_CLIENT_SIDE, .command = effect->record.command, .token = effect->token};
    if (!packer_fits(packer, &effect->record) && !write_pack(self, endpoint))
        return false;
    return packer_add(packer, &effect->record, effect->cargo, &entry);
}

void
client_links_send(struct client_links *self, struct client_effect *effect)
{
    uint32_t endpoint = effect->endpoint;
    struct link *link = &self->links[endpoint];
    struct mdp_record *record = &effect->record;
    if (effect->cargo != NULL) {
        record->body = cargo_body(effect->cargo);
        record->fields = cargo_fields(effect->cargo);
        if (record->fields.size > 0)
            record->flags |= MDP_FLAG_FIELDS;
    }
    bool is_sent = link_is_open(link) && !(self->refusing & bit_of(endpoint));
    if (is_sent && record->dialect == MDP_G1)
        is_sent = pack(self, endpoint, effect);
    else if (is_sent)
        is_sent = link_send(link, record, effect->has_delimiter, effect->cargo) == 0;
    if (!is_sent)
        refuse(self, endpoint, effect->token);
}

void
client_links_write(struct client_links *self)
{
    for (uint32_t i = 0; i < self->endpoints.count; i++)
        if (link_is_open(&self->links[i]))
            write_pack(self, i);
}

bool
client_links_has_packed(const struct client_links *self)
{
    bool has = false;
    for (uint32_t i = 0; i < self->endpoints.count; i++)
        has = has || self->links[i].packer.used > 0;
    return has;
}

// ---- what came of it ---------------------------------------------------------------------

bool
client_links_result(struct client_links *self, struct client_event *event_out)
{
    if (self->refused_count > 0) {
        struct refused_send *latest = &self->refused[--self->refused_count];
        *event_out = (struct client_event){
            .kind = CLIENT_UNSENT, .endpoint = latest->endpoint, .token = latest->token};
        return true;
    }
    self->refusing = 0;
    if (self->failed == 0)
        return false;
    uint32_t endpoint = (uint32_t)__builtin_ctz(self->failed);
    self->failed &= ~bit_of(endpoint);
    *event_out = (struct client_event){.kind = CLIENT_DOWN, .endpoint = endpoint};
    return true;
}

// may_have_event: is there a reason to ask the monitors? Each look costs a system call.
// Nobody but us reads them, so what comes later ends the wait; but while a connection is
// being made what we read off its socket may be the sign that it is.
static bool
may_have_event(const struct client_links *self)
{
    if (self->was_woken || self->cut != 0)
        return true;
    for (uint32_t i = 0; i < self->endpoints.count; i++)
        if (link_is_open(&self->links[i]) && !self->links[i].is_up)
            return true;
    return false;
}

bool
client_links_event(struct client_links *self, struct client_event *event_out)
{
    if (!may_have_event(self))
        return false;
    for (uint32_t i = 0; i < self->endpoints.count; i++) {
        *event_out = (struct client_event){.kind = CLIENT_UP, .endpoint = i};
        if (self->cut & bit_of(i)) {
            self->cut &= ~bit_of(i);
            event_out->kind = CLIENT_DOWN;
            log_info("MDP-CLIENT-DOWN", "endpoint=%s", self->endpoints.texts[i]);
            return true;
        }
        switch (link_event(&self->links[i])) {
        case LINK_UP:
            log_info("MDP-CLIENT-UP", "endpoint=%s", self->endpoints.texts[i]);
            return true;
        case LINK_DOWN:
            self->cut |= bit_of(i);
            event_out->kind = CLIENT_TICK; // nothing yet: look at what has arrived
            return true;
        case LINK_REFUSED:
            event_out->kind = CLIENT_DOWN;
            return true;
        case LINK_NOTHING:
            break;
        }
    }
    self->was_woken = false;
    return false;
}

uint64_t
client_links_deadline(const struct client_links *self)
{
    uint64_t deadline_ns = UINT64_MAX;
    for (uint32_t i = 0; i < self->endpoints.count; i++) {
        uint64_t own_ns = link_deadline(&self->links[i]);
        deadline_ns = own_ns < deadline_ns ? own_ns : deadline_ns;
    }
    return deadline_ns;
}

bool
client_links_receive(struct client_links *self, struct inbox *inbox, uint32_t *endpoint_p)
{
    uint32_t count = (uint32_t)self->endpoints.count;
    for (uint32_t i = 1; i <= count; i++) {
        uint32_t endpoint = (*endpoint_p + i) % count;
        struct link *link = &self->links[endpoint];
        if (!link_is_open(link) || !inbox_receive(inbox, link->handle))
            continue;
        *endpoint_p = endpoint;
        self->was_woken = false; // by this; if by something else too, the next wait tells
        return true;
    }
    return false;
}
