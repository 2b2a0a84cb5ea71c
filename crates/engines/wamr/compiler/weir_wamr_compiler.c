/* WAMR's compiler as a program: a module on standard input, code for WAMR on standard output, what is wrong with the
   module on standard error. A process of its own, since LLVM ends the one it is in when it finds something that it cannot
   do, and takes as much memory as the module makes it take. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aot_export.h"
#include "wasm_export.h"

/* Number of the arguments and results described at `main`; whoever asks for another one wants another program. */
#define INTERFACE "2"

/* How the program ends: the module cannot be compiled, or the program cannot be used. */
#define NOT_COMPILED 1
#define NOT_USABLE 2

#define READ_AT_ONCE (1 << 20)

__attribute__ ((noreturn, format (printf, 2, 3))) static void
end (int status, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  vfprintf (stderr, format, arguments);
  va_end (arguments);
  fputc ('\n', stderr);
  /* LLVM's own way out would run what it has registered. */
  _exit (status);
}

/* The process ends with the one that wants the code and keeps none of its files open, gives way to all others, and is the
   first that the system ends where memory is short. None of this is worth failing for. */
static void
be_modest (void)
{
  const char *parent = getenv ("WEIR_COMPILER_PARENT");
  int file;

  syscall (SYS_close_range, 3, ~0U, 0);
  file = open ("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

  if (file >= 0)
    {
      if (write (file, "1000", 4) < 0)
        errno = 0;
      close (file);
    }
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  /* The one that wants the code may have ended before its death could signal this process. */
  if (parent && getppid () != atoi (parent))
    end (NOT_USABLE, "the process that wants the code has ended");
  setpriority (PRIO_PROCESS, 0, 19);
}

static void
limit (int resource, const char *text)
{
  struct rlimit most;
  rlim_t wanted;
  char *rest;

  wanted = strtoull (text, &rest, 10);
  if (*text == 0 || *rest != 0)
    end (NOT_USABLE, "%s is no number", text);
  /* A lower limit that the system has set stays. The hard one is left: where it is reached, it is not said which it was. */
  if (getrlimit (resource, &most) != 0)
    end (NOT_USABLE, "cannot tell what may be used: %s", strerror (errno));
  most.rlim_cur = wanted < most.rlim_max ? wanted : most.rlim_max;
  if (setrlimit (resource, &most) != 0)
    end (NOT_USABLE, "cannot limit what is used: %s", strerror (errno));
}

static uint8_t *
read_module (uint32_t *size)
{
  size_t length = 0, room = 0;
  uint8_t *module = NULL;

  for (;;)
    {
      ssize_t got;

      if (room - length < READ_AT_ONCE)
        {
          room = 2 * room + READ_AT_ONCE;
          module = realloc (module, room);
          if (!module)
            end (NOT_COMPILED, "the module does not fit into memory");
        }
      got = read (STDIN_FILENO, module + length, room - length);
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        end (NOT_USABLE, "cannot read the module: %s", strerror (errno));
      if (got == 0)
        break;
      length += (size_t) got;
    }
  if (length > UINT32_MAX)
    end (NOT_COMPILED, "the module is larger than 4 GiB");
  *size = (uint32_t) length;
  return module;
}

static void
write_code (const uint8_t *code, size_t size)
{
  while (size > 0)
    {
      ssize_t put = write (STDOUT_FILENO, code, size);

      if (put < 0 && errno == EINTR)
        continue;
      if (put < 0)
        end (NOT_USABLE, "cannot write the code: %s", strerror (errno));
      code += put;
      size -= (size_t) put;
    }
}

/* WAMR says here what it is about to do, on standard output, which is for the code. */
int
weir_wamr_say_nothing (const char *format, ...)
{
  (void) format;
  return 0;
}

/* Makes a file for what LLVM says of the stack that functions take. WAMR would make one where the program runs; this one
   goes with the process, however that ends. */
static void
make_usage_file (char *path, size_t room)
{
  int file = memfd_create ("stack usage", 0);

  if (file < 0)
    end (NOT_USABLE, "cannot make a file in memory: %s", strerror (errno));
  snprintf (path, room, "/proc/self/fd/%d", file);
}

/* Compiles a module for an architecture, such as x86_64, and one of its processors, such as x86-64-v2. Gives NULL and why
   where that fails. */
static uint8_t *
compile (uint8_t *wasm, uint32_t size, char *arch, char *cpu, char *usage, uint32_t *code_size, char *error,
         uint32_t room)
{
  AOTCompOption option;
  wasm_module_t module;
  aot_comp_data_t data;
  aot_comp_context_t context = NULL;
  uint8_t *code = NULL;

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
  option.target_arch = arch;
  option.target_cpu = cpu;
  aot_call_stack_features_init_default (&option.call_stack_features);

  module = wasm_runtime_load (wasm, size, error, room);
  if (!module)
    return NULL;
  data = aot_create_comp_data (module, arch, false);
  if (data)
    context = aot_create_comp_context (data, &option);
  if (context && aot_compile_wasm (context))
    code = aot_emit_aot_file_buf (context, data, code_size);
  if (!code)
    {
      const char *reason = aot_get_last_error ();

      snprintf (error, room, "%s", reason && *reason ? reason : "it is not said why");
    }
  /* The process ends next; nothing is given back. */
  return code;
}

/* Arguments: the number of this interface; the version of WAMR that is to run the code; the architecture; its processor;
   seconds of CPU time and bytes of memory that may be used. */
int
main (int argc, char **argv)
{
  RuntimeInitArgs arguments;
  uint32_t major, minor, patch, size, code_size;
  uint8_t *module, *code;
  char version[64], usage[64], error[256] = "";

  if (argc < 2 || strcmp (argv[1], INTERFACE) != 0)
    end (NOT_USABLE, "its interface is %s", INTERFACE);
  if (argc != 7)
    end (NOT_USABLE, "6 arguments are expected");
  wasm_runtime_get_version (&major, &minor, &patch);
  snprintf (version, sizeof version, "%u.%u.%u", major, minor, patch);
  if (strcmp (argv[2], version) != 0)
    end (NOT_USABLE, "it compiles for WAMR %s", version);
  be_modest ();
  limit (RLIMIT_CORE, "0");
  limit (RLIMIT_CPU, argv[5]);
  limit (RLIMIT_DATA, argv[6]);

  module = read_module (&size);
  memset (&arguments, 0, sizeof arguments);
  arguments.mem_alloc_type = Alloc_With_System_Allocator;
  if (!wasm_runtime_full_init (&arguments) || !aot_compiler_init ())
    end (NOT_USABLE, "it does not start");
  wasm_runtime_set_log_level (WASM_LOG_LEVEL_FATAL);
  make_usage_file (usage, sizeof usage);
  code = compile (module, size, argv[3], argv[4], usage, &code_size, error, sizeof error);
  if (!code)
    end (NOT_COMPILED, "%s", error);
  write_code (code, code_size);
  _exit (0);
}
