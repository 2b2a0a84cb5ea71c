/* WAMR's compiler behind a few functions. One call at a time: WAMR keeps its last error for the process. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aot_export.h"
#include "wasm_export.h"

#define API __attribute__ ((visibility ("default")))

/* Number of what is declared here; another one is another library. */
API uint32_t
weir_wamr_compiler_interface (void)
{
  return 1;
}

/* WAMR's version as three numbers. */
API void
weir_wamr_compiler_version (uint32_t *major, uint32_t *minor, uint32_t *patch)
{
  wasm_runtime_get_version (major, minor, patch);
}

/* Starts LLVM and WAMR, once; whether that went well. */
API int
weir_wamr_compiler_start (void)
{
  RuntimeInitArgs arguments;
  memset (&arguments, 0, sizeof arguments);
  arguments.mem_alloc_type = Alloc_With_System_Allocator;
  if (!wasm_runtime_full_init (&arguments) || !aot_compiler_init ())
    return 0;
  wasm_runtime_set_log_level (WASM_LOG_LEVEL_FATAL);
  return 1;
}

int
weir_wamr_say_nothing (const char *format, ...)
{
  (void) format;
  return 0;
}

static void
fail (char *error, uint32_t room, const char *reason)
{
  snprintf (error, room, "%s", reason && *reason ? reason : "WAMR's compiler does not say why");
}

/* Makes a file for what LLVM says of the stack that functions take: WAMR would make it where the program runs. */
static int
make_usage_file (char *path, size_t room)
{
  const char *folder = getenv ("TMPDIR");
  int file;

  snprintf (path, room, "%s/weir-wamr-XXXXXX", folder && *folder ? folder : "/tmp");
  file = mkstemp (path);
  if (file < 0)
    return 0;
  close (file);
  return 1;
}

/* Compiles a module for an architecture, such as x86_64, and one of its processors, such as x86-64-v2. The bytes of the module may be written to. Gives the code, which
   weir_wamr_compiler_free takes back, or NULL and why. */
API uint8_t *
weir_wamr_compile (uint8_t *wasm, uint32_t size, const char *arch, const char *cpu, uint32_t *code_size, char *error,
                   uint32_t room)
{
  AOTCompOption option;
  wasm_module_t module;
  aot_comp_data_t data = NULL;
  aot_comp_context_t context = NULL;
  uint8_t *code = NULL;
  char usage[4096];

  if (!make_usage_file (usage, sizeof usage))
    {
      fail (error, room, "no temporary file can be made");
      return NULL;
    }
  memset (&option, 0, sizeof option);
  option.opt_level = 3;
  option.size_level = 3;
  option.output_format = AOT_FORMAT_FILE;
  /* Checked by code and not by signals, which belong to the process. */
  option.bounds_checks = 1;
  option.stack_bounds_checks = 1;
  option.enable_stack_estimation = true;
  option.enable_bulk_memory = true;
  option.enable_bulk_memory_opt = true;
  option.enable_ref_types = true;
  option.enable_call_indirect_overlong = true;
  option.enable_tail_call = true;
  option.enable_extended_const = true;
  option.enable_simd = true;
  option.stack_usage_file = usage;
  option.target_arch = (char *) arch;
  option.target_cpu = (char *) cpu;
  aot_call_stack_features_init_default (&option.call_stack_features);

  module = wasm_runtime_load (wasm, size, error, room);
  if (!module)
    {
      unlink (usage);
      return NULL;
    }
  data = aot_create_comp_data (module, arch, false);
  if (data)
    context = aot_create_comp_context (data, &option);
  if (context && aot_compile_wasm (context))
    code = aot_emit_aot_file_buf (context, data, code_size);
  if (!code)
    fail (error, room, aot_get_last_error ());
  if (context)
    aot_destroy_comp_context (context);
  if (data)
    aot_destroy_comp_data (data);
  wasm_runtime_unload (module);
  unlink (usage);
  return code;
}

API void
weir_wamr_compiler_free (uint8_t *code)
{
  wasm_runtime_free (code);
}
