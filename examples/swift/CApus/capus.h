/* capus.h - the library's header, wherever it is installed, for the module CApus. */
#include <apus.h>
