// galleon_audit.c - galleon audit verify, head: the chain of records of a store that no daemon has.

#include "audit_key.h"
#include "galleon_store.h"

#include <inttypes.h>
#include <string.h>

struct store_check *
tool_look(struct tool *self)
{
    static const char scheme[] = "sqlite:";
    const char *path = self->words[0];
    struct store_error error = {0};
    if (strncmp(path, scheme, strlen(scheme)) == 0)
        path += strlen(scheme);
    struct store_check *store = store_check_open(path, &error);
    if (store == NULL && error.is_locked && error.pid != 0)
        tool_fail("process %d has %s: stop it first, this needs the store at rest", error.pid,
                  path);
    if (store == NULL)
        tool_fail("%s%s%s", strstr(error.text, path) != NULL ? "" : path,
                  strstr(error.text, path) != NULL ? "" : ": ", error.text);
    return store;
}

void
tool_write_hex(const uint8_t *bytes, size_t size, char *to)
{
    for (size_t at = 0; at < size; at++)
        snprintf(to + 2 * at, 3, "%02x", bytes[at]);
}

void
tool_json_text(struct json *json, const char *name, const char *text)
{
    json_key(json, view_of(name, strlen(name)));
    json_text(json, view_of(text, strlen(text)));
}

void
tool_json_number(struct json *json, const char *name, uint64_t number)
{
    json_key(json, view_of(name, strlen(name)));
    json_number(json, number);
}

// ---- verify ----------------------------------------------------------------------------

static bool
read_public_key(struct tool *self, uint8_t key[STORE_PUBLIC_KEY_BYTES])
{
    char why[256];
    if (self->public_key == NULL)
        return false;
    if (!audit_key_read_public(self->public_key, key, why, sizeof why))
        tool_fail("--pubkey: %s", why);
    return true;
}

static void
print_verified(const struct store_chain *chain, const struct store_outline *outline,
               const char *head, bool has_key)
{
    printf("records     %" PRIu64 "\n", chain->count);
    printf("head        %s\n", head);
    if (outline->is_copy)
        puts("anchor      not compared: it is a backup that no titanic has started on");
    else if (outline->has_anchor)
        printf("anchor      at change %" PRIu64 " of %" PRIu64 "\n", outline->anchored,
               outline->changes);
    else
        puts("anchor      none: an end that was cut off would not be noticed");
    if (chain->signatures == 0)
        puts("signatures  none");
    else if (!has_key)
        printf("signatures  %" PRIu64 ", not verified: give --pubkey\n", chain->signatures);
    else
        printf("signatures  %" PRIu64 ", for the records up to %" PRIu64 "\n", chain->signatures,
               chain->signed_to);
}

static void
print_verified_json(const struct store_chain *chain, const struct store_outline *outline,
                    const char *head, bool has_key)
{
    struct json json = {.out = stdout};
    json_begin(&json, '{');
    tool_json_text(&json, "chain", chain->is_whole ? "whole" : "broken");
    tool_json_number(&json, "n", chain->count);
    tool_json_text(&json, "head", head);
    tool_json_text(&json, "anchor", outline->has_anchor ? "there" : "none");
    tool_json_number(&json, "anchored", outline->anchored);
    tool_json_number(&json, "signatures", chain->signatures);
    if (has_key)
        tool_json_number(&json, "signed", chain->signed_to);
    if (!chain->is_whole) {
        tool_json_number(&json, "broken", chain->broken);
        tool_json_text(&json, "why", chain->why);
    }
    json_end(&json, '}');
    putchar('\n');
}

int
tool_audit_verify(struct tool *self)
{
    uint8_t key[STORE_PUBLIC_KEY_BYTES];
    bool has_key = read_public_key(self, key);
    struct store_check *store = tool_look(self);
    struct store_outline outline;
    struct store_error error = {0};
    struct store_chain chain;
    char head[2 * SHA256_BYTES + 1];
    if (!store_check_outline(store, &outline, &error))
        tool_fail("%s", error.text);
    store_check_chain(store, has_key ? key : NULL, &chain);
    store_check_close(&store);
    tool_write_hex(chain.head.bytes, sizeof chain.head.bytes, head);
    if (self->is_json)
        print_verified_json(&chain, &outline, head, has_key);
    else if (chain.is_whole)
        print_verified(&chain, &outline, head, has_key);
    if (!chain.is_whole)
        fprintf(stderr, "galleon: the chain breaks at record %" PRIu64 ": %s.\n", chain.broken,
                chain.why);
    return tool_end(chain.is_whole ? EXIT_DONE : EXIT_FAILED);
}

// ---- head ------------------------------------------------------------------------------

int
tool_audit_head(struct tool *self)
{
    struct store_check *store = tool_look(self);
    struct store_outline outline;
    struct store_error error = {0};
    char head[2 * SHA256_BYTES + 1];
    if (!store_check_outline(store, &outline, &error))
        tool_fail("%s", error.text);
    store_check_close(&store);
    tool_write_hex(outline.head.bytes, sizeof outline.head.bytes, head);
    if (self->is_json) {
        struct json json = {.out = stdout};
        json_begin(&json, '{');
        tool_json_text(&json, "store_id", outline.info.store_id);
        tool_json_number(&json, "n", outline.info.audit_count);
        tool_json_text(&json, "head", head);
        tool_json_number(&json, "signatures", outline.signatures);
        tool_json_number(&json, "signed", outline.signed_to);
        json_end(&json, '}');
        putchar('\n');
        return tool_end(EXIT_DONE);
    }
    printf("n           %" PRIu64 "\nhead        %s\n", outline.info.audit_count, head);
    if (outline.signatures == 0)
        puts("signatures  none");
    else
        printf("signatures  %" PRIu64 ", the last at record %" PRIu64 "\n", outline.signatures,
               outline.signed_to);
    return tool_end(EXIT_DONE);
}

// ---- keygen ----------------------------------------------------------------------------

int
tool_audit_keygen(struct tool *self)
{
    char why[256];
    if (!audit_key_make(self->words[0], why, sizeof why))
        tool_fail("%s", why);
    if (!self->is_json)
        printf("%s      for titanic --audit-key: keep it to the machine that signs\n"
               "%s.pub  for galleon audit verify --pubkey\n",
               self->words[0], self->words[0]);
    return tool_end(EXIT_DONE);
}
