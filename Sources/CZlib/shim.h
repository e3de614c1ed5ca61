#ifndef CLAVIGER_CZLIB_SHIM_H
#define CLAVIGER_CZLIB_SHIM_H

#include <zlib.h>

/// inflateInit2, a macro (zlib.h). `windowBits`: 15 for zlib (RFC 1950), -15 for raw deflate (RFC 1951), 31 for gzip
/// (RFC 1952). Returns Z_OK, or an error.
static inline int claviger_inflate_init(z_stream *stream, int windowBits) { return inflateInit2(stream, windowBits); }

#endif
