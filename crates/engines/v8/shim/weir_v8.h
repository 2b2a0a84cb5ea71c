// What the engine sees of V8: a small interface in C, so that the library can be opened while the process runs.
//
// An instance has an isolate of its own and may be used by any thread, by one at a time. All but the functions that say so
// are called with the instance at rest.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Raised whenever something below changes.
#define WEIR_V8_INTERFACE 1

typedef struct WeirV8Module WeirV8Module;
typedef struct WeirV8Instance WeirV8Instance;

// Types of a function, `i` for an i32 and `I` for an i64: parameters, then `:`, then the result or nothing.
typedef const char* WeirV8Signature;

typedef struct {
  const char* module;
  const char* name;
  WeirV8Signature signature;
} WeirV8Import;

// Calls import number `index`; answers 0, or something else to end the guest. Arguments lie in slots, i32 zero-extended.
typedef int (*WeirV8Host)(void* data, uint32_t index, const uint64_t* arguments, uint64_t* result);

// Asked on the guest's thread after `weir_v8_interrupt`: whether the guest must end.
typedef int (*WeirV8Expired)(void* data);

// How a call ended.
enum {
  WEIR_V8_DONE = 0,
  // The host ended the guest, by its function or because it expired.
  WEIR_V8_ENDED = 1,
  // V8 did; the message says why.
  WEIR_V8_FAILED = 2,
};

// `WEIR_V8_INTERFACE` as this library has it, and V8's version.
uint32_t weir_v8_interface(void);
const char* weir_v8_version(void);

// Starts V8, once a process, before all else. `max_table` bounds the elements of each table.
void weir_v8_start(uint32_t max_table);

// Compiles a module; NULL with a message where that fails. A module may be shared by all threads.
WeirV8Module* weir_v8_compile(const uint8_t* bytes, size_t size, char* message, size_t room);
void weir_v8_release(WeirV8Module* module);

// Makes the isolate and the context of an instance, without the instance itself. NULL where there is no memory.
WeirV8Instance* weir_v8_create(WeirV8Host host, WeirV8Expired expired, void* data);

// Instantiates a module: runs its start section. Imports and their texts live as long as the instance. A module with pages
// of memory imports it as `memory_module`.`memory_name`.
int weir_v8_instantiate(WeirV8Instance* instance, const WeirV8Module* module, const WeirV8Import* imports, size_t count,
                        const char* memory_module, const char* memory_name, int has_memory, uint32_t pages,
                        uint32_t max_pages, size_t stack, char* message, size_t room);
void weir_v8_destroy(WeirV8Instance* instance);

// Number of an exported function; -1 where there is none of the name.
int64_t weir_v8_export(WeirV8Instance* instance, const char* name);

// Calls an export. Also from within a host function, for the guest's allocator.
int weir_v8_call(WeirV8Instance* instance, uint32_t number, const uint32_t* arguments, size_t count, uint32_t* result,
                 size_t stack, char* message, size_t room);

// Where the memory lies and how large it is. Also from within a host function.
size_t weir_v8_memory(WeirV8Instance* instance, uint8_t** base);

// Has `expired` asked soon, where the guest runs. From any thread.
void weir_v8_interrupt(WeirV8Instance* instance);

#ifdef __cplusplus
}
#endif
