// bstar_record.h - the voter's record on disk: what a member must not forget.
//
// One file for one member, locked for as long as it is open. It is made once, by a word of the
// operator's, and never made anew over one that is there. Nothing that cannot be read is ever
// taken for an empty record.
//
// Spec: docs/protocol/bstar.md, 4

#ifndef GALLEON_BSTAR_RECORD_H
#define GALLEON_BSTAR_RECORD_H

#include "bstar_wire.h"

#define BSTAR_TROUBLE_MAP(X)                                                                       \
    X(BSTAR_RECORD_GOOD, "")                                                                       \
    X(BSTAR_RECORD_MISSING, "there is no record: the first start makes one with --pair-init")      \
    X(BSTAR_RECORD_LOCKED, "another process has the record")                                       \
    X(BSTAR_RECORD_BAD, "the record is damaged")                                                   \
    X(BSTAR_RECORD_FOREIGN, "the record is another member's, or of another pair")                  \
    X(BSTAR_RECORD_FAILED, "the record cannot be read or written")

enum bstar_trouble {
#define X(name, text) name,
    BSTAR_TROUBLE_MAP(X)
#undef X
};

// bstar_trouble_text is for people.
const char *bstar_trouble_text(enum bstar_trouble trouble);

struct bstar_record_file {
    int fd;    // -1: not open
    int error; // the errno of what FAILED, else 0
};

// bstar_record_complain says in the log what is wrong with the record at `path`; error is the errno
// of FAILED, else 0.
void bstar_record_complain(const char *path, enum bstar_trouble trouble, int error);

// bstar_record_make makes the file of `owner`, whose node is drawn here, with a record of nobody.
// Returns 0 or an errno: EEXIST where there is a file, which stays as it is.
int bstar_record_make(const char *path, struct bstar_owner owner);

// bstar_record_open reads the record of pair and member, and writes it once more: what is
// believed is on disk, and can be written. Where it is not GOOD the file is closed.
enum bstar_trouble bstar_record_open(struct bstar_record_file *self, const char *path,
                                     uint64_t pair, char member, struct bstar_owner *owner_out,
                                     struct bstar_record *record_out);
void bstar_record_close(struct bstar_record_file *self);

// bstar_record_write returns when it is on disk; false, with errno: it may be, or not.
bool bstar_record_write(const struct bstar_record_file *self, const struct bstar_record *record);

#endif
