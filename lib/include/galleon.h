// galleon.h - durable request/reply for ZeroMQ: everything in one include.

#ifndef GALLEON_H
#define GALLEON_H

#include "galleon/bstar.h"
#include "galleon/heartbeat.h"
#include "galleon/lazy_pirate.h"
#include "galleon/mdp.h"
#include "galleon/mdp_broker.h"
#include "galleon/mdp_client.h"
#include "galleon/mdp_worker.h"
#include "galleon/pirate_queue.h"
#include "galleon/pirate_worker.h"
#include "galleon/status.h"
#include "galleon/titanic.h"
#include "galleon/titanic_client.h"

#endif
