#ifndef CLAVIGER_CSODIUM_SHIM_H
#define CLAVIGER_CSODIUM_SHIM_H

#include <sodium.h>

#endif
