// plants.h - who tests the tester: bugs that are in the cores on purpose.
//
// The build `sim_planted` is made of copies of the cores in which some places read
// `planted(N) ? wrong : right`; tests/sim/plant.py makes them. One bug at most is on.

#ifndef GALLEON_PLANTS_H
#define GALLEON_PLANTS_H

#include <stdbool.h>
#include <stdint.h>

// plants_switch_on switches a bug on; 0: none. False where this build has none.
bool plants_switch_on(uint32_t number);

// plants_is_on is for a bug that is not in the cores, but in what the simulator has around them.
bool plants_is_on(uint32_t number);

#endif
