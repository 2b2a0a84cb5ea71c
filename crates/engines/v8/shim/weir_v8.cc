// See weir_v8.h. No exception and no panic crosses this interface in either direction.

#include "weir_v8.h"

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <libplatform/libplatform.h>
#include <v8.h>

namespace {

v8::Platform* platform = nullptr;

// V8 leaves work for the thread of an isolate; it is done after so many calls.
constexpr uint32_t kCallsBetweenTasks = 256;

// What an isolate may need beside the guest's memory: objects for imports and exports, big integers on their way. A guest
// cannot reach it.
constexpr size_t kHeap = 64 << 20;
constexpr size_t kSpareHeap = 16 << 20;

v8::Local<v8::String> Text(v8::Isolate* isolate, const char* text) {
  return v8::String::NewFromUtf8(isolate, text).FromMaybe(v8::Local<v8::String>());
}

void Say(char* message, size_t room, const char* text) {
  if (room == 0) return;
  std::strncpy(message, text, room - 1);
  message[room - 1] = 0;
}

void Say(char* message, size_t room, v8::Isolate* isolate, const v8::TryCatch& caught) {
  if (caught.Exception().IsEmpty()) return Say(message, room, "unknown error");
  v8::String::Utf8Value text(isolate, caught.Exception());
  Say(message, room, *text ? *text : "unknown error");
}

v8::Isolate* NewIsolate(v8::ArrayBuffer::Allocator* allocator) {
  v8::Isolate::CreateParams params;
  params.array_buffer_allocator = allocator;
  params.constraints.ConfigureDefaultsFromHeapSize(0, kHeap);
  return v8::Isolate::New(params);
}

}  // namespace

struct WeirV8Module {
  v8::CompiledWasmModule compiled;
};

struct WeirV8Instance {
  std::unique_ptr<v8::ArrayBuffer::Allocator> allocator;
  v8::Isolate* isolate = nullptr;
  WeirV8Host host = nullptr;
  WeirV8Expired expired = nullptr;
  void* data = nullptr;
  v8::Global<v8::Context> context;
  v8::Global<v8::Object> exports;
  v8::Global<v8::Object> memory;
  const WeirV8Import* imports = nullptr;
  std::vector<v8::Global<v8::Function>> functions;
  // The host has ended the guest.
  bool ended = false;
  // The heap has been full once.
  bool full = false;
  uint32_t calls = 0;

  ~WeirV8Instance();
};

namespace {

// V8 makes handle scopes for the stack alone, which is where this one is.
class Handles {
 public:
  explicit Handles(v8::Isolate* isolate) : scope_(isolate) {}

 private:
  v8::HandleScope scope_;
};

// The instance's isolate, entered by this thread; within a host function it is that already.
class Entered {
 public:
  explicit Entered(WeirV8Instance* instance) {
    v8::Isolate* isolate = instance->isolate;
    if (v8::Isolate::TryGetCurrent() != isolate) {
      locker_.emplace(isolate);
      isolate_.emplace(isolate);
    }
    handles_.emplace(isolate);
  }

 private:
  // Left in the reverse order.
  std::optional<v8::Locker> locker_;
  std::optional<v8::Isolate::Scope> isolate_;
  std::optional<Handles> handles_;
};

void LimitStack(v8::Isolate* isolate, size_t stack) {
  char here;
  isolate->SetStackLimit(reinterpret_cast<uintptr_t>(&here) - stack);
}

// The guest's memory is not V8's heap, so a full heap means that something is wrong; the guest ends, not the process.
size_t OnFullHeap(void* data, size_t current, size_t) {
  auto* instance = static_cast<WeirV8Instance*>(data);
  instance->isolate->TerminateExecution();
  // Room to end in, once; a guest that can fill that as well is one that this library must not let run.
  const size_t spare = instance->full ? 0 : kSpareHeap;
  instance->full = true;
  return current + spare;
}

void OnInterrupt(v8::Isolate* isolate, void* data) {
  auto* instance = static_cast<WeirV8Instance*>(data);
  if (instance->expired(instance->data)) {
    instance->ended = true;
    isolate->TerminateExecution();
  }
}

// An import is called.
void OnCall(const v8::FunctionCallbackInfo<v8::Value>& info) {
  v8::Isolate* isolate = info.GetIsolate();
  auto* instance = static_cast<WeirV8Instance*>(isolate->GetData(0));
  const uint32_t index = info.Data().As<v8::Uint32>()->Value();
  uint64_t arguments[16] = {0};
  const char* types = instance->imports[index].signature;
  int count = 0;
  for (; *types != ':'; ++types, ++count) {
    // V8 has converted the guest's values to these kinds.
    if (*types == 'I') {
      arguments[count] = info[count].As<v8::BigInt>()->Uint64Value();
    } else {
      arguments[count] = static_cast<uint32_t>(info[count].As<v8::Int32>()->Value());
    }
  }
  uint64_t result = 0;
  if (instance->host(instance->data, index, arguments, &result) != 0) {
    instance->ended = true;
    // Guests have nothing to catch it with.
    isolate->ThrowException(v8::Undefined(isolate));
    return;
  }
  if (types[1] == 'I') {
    info.GetReturnValue().Set(v8::BigInt::NewFromUnsigned(isolate, result));
  } else if (types[1] == 'i') {
    info.GetReturnValue().Set(static_cast<int32_t>(static_cast<uint32_t>(result)));
  }
}

// What came of running the guest.
int Outcome(WeirV8Instance* instance, const v8::TryCatch& caught, char* message, size_t room) {
  v8::Isolate* isolate = instance->isolate;
  if (instance->ended) return WEIR_V8_ENDED;
  if (caught.HasTerminated()) {
    Say(message, room, "V8 is out of memory");
  } else {
    Say(message, room, isolate, caught);
  }
  return WEIR_V8_FAILED;
}

v8::MaybeLocal<v8::Object> Member(v8::Local<v8::Context> context, v8::Local<v8::Object> object, const char* name) {
  v8::Local<v8::Value> value;
  if (!object->Get(context, Text(context->GetIsolate(), name)).ToLocal(&value) || !value->IsObject()) return {};
  return value.As<v8::Object>();
}

// `new WebAssembly.NAME(...)`.
v8::MaybeLocal<v8::Object> Make(v8::Local<v8::Context> context, const char* name, int count, v8::Local<v8::Value> arguments[]) {
  v8::Local<v8::Object> space, constructor;
  v8::Local<v8::Value> made;
  if (!Member(context, context->Global(), "WebAssembly").ToLocal(&space) ||
      !Member(context, space, name).ToLocal(&constructor) ||
      !constructor->CallAsConstructor(context, count, arguments).ToLocal(&made)) {
    return {};
  }
  return made.As<v8::Object>();
}

bool Put(v8::Local<v8::Context> context, v8::Local<v8::Object> imports, const char* module, const char* name,
         v8::Local<v8::Value> value) {
  v8::Isolate* isolate = context->GetIsolate();
  v8::Local<v8::Object> names;
  if (!Member(context, imports, module).ToLocal(&names)) {
    names = v8::Object::New(isolate);
    if (!imports->Set(context, Text(isolate, module), names).FromMaybe(false)) return false;
  }
  return names->Set(context, Text(isolate, name), value).FromMaybe(false);
}

v8::MaybeLocal<v8::Object> NewMemory(v8::Local<v8::Context> context, uint32_t pages, uint32_t max_pages) {
  v8::Isolate* isolate = context->GetIsolate();
  v8::Local<v8::Object> limits = v8::Object::New(isolate);
  v8::Local<v8::Value> arguments[] = {limits};
  if (!limits->Set(context, Text(isolate, "initial"), v8::Integer::NewFromUnsigned(isolate, pages)).FromMaybe(false) ||
      !limits->Set(context, Text(isolate, "maximum"), v8::Integer::NewFromUnsigned(isolate, max_pages)).FromMaybe(false)) {
    return {};
  }
  return Make(context, "Memory", 1, arguments);
}

}  // namespace

WeirV8Instance::~WeirV8Instance() {
  if (isolate == nullptr) return;
  {
    v8::Locker locker(isolate);
    v8::Isolate::Scope scope(isolate);
    functions.clear();
    memory.Reset();
    exports.Reset();
    context.Reset();
  }
  isolate->Dispose();
}

uint32_t weir_v8_interface(void) { return WEIR_V8_INTERFACE; }

const char* weir_v8_version(void) { return v8::V8::GetVersion(); }

void weir_v8_start(uint32_t max_table) {
  // With tiering by use, loops look at interrupts after so many rounds only; without, in each. Protection keys are a
  // thread's own: one that was there before V8 started could not read what lies in code.
  const std::string flags =
      "--no-wasm-dynamic-tiering --no-wasm-memory-protection-keys --experimental-wasm-return-call --experimental-wasm-extended-const "
      "--wasm-max-table-size=" +
      std::to_string(max_table);
  v8::V8::SetFlagsFromString(flags.c_str(), flags.size());
  // Lives as long as the process.
  platform = v8::platform::NewDefaultPlatform(0, v8::platform::IdleTaskSupport::kDisabled,
                                              v8::platform::InProcessStackDumping::kDisabled)
                 .release();
  v8::V8::InitializePlatform(platform);
  v8::V8::Initialize();
}

WeirV8Module* weir_v8_compile(const uint8_t* bytes, size_t size, char* message, size_t room) {
  std::unique_ptr<v8::ArrayBuffer::Allocator> allocator(v8::ArrayBuffer::Allocator::NewDefaultAllocator());
  v8::Isolate* isolate = NewIsolate(allocator.get());
  WeirV8Module* made = nullptr;
  {
    v8::Locker locker(isolate);
    v8::Isolate::Scope scope(isolate);
    v8::HandleScope handles(isolate);
    v8::Local<v8::Context> context = v8::Context::New(isolate);
    v8::Context::Scope entered(context);
    v8::TryCatch caught(isolate);
    v8::Local<v8::WasmModuleObject> module;
    if (v8::WasmModuleObject::Compile(isolate, {bytes, size}).ToLocal(&module)) {
      made = new WeirV8Module{module->GetCompiledModule()};
    } else {
      Say(message, room, isolate, caught);
    }
    while (v8::platform::PumpMessageLoop(platform, isolate)) {
    }
  }
  isolate->Dispose();
  return made;
}

void weir_v8_release(WeirV8Module* module) { delete module; }

WeirV8Instance* weir_v8_create(WeirV8Host host, WeirV8Expired expired, void* data) {
  auto instance = std::make_unique<WeirV8Instance>();
  instance->allocator.reset(v8::ArrayBuffer::Allocator::NewDefaultAllocator());
  instance->isolate = NewIsolate(instance->allocator.get());
  if (instance->isolate == nullptr) return nullptr;
  instance->host = host;
  instance->expired = expired;
  instance->data = data;
  instance->isolate->SetData(0, instance.get());
  instance->isolate->AddNearHeapLimitCallback(OnFullHeap, instance.get());
  Entered entered(instance.get());
  instance->context.Reset(instance->isolate, v8::Context::New(instance->isolate));
  return instance.release();
}

int weir_v8_instantiate(WeirV8Instance* instance, const WeirV8Module* module, const WeirV8Import* imports, size_t count,
                        const char* memory_module, const char* memory_name, int has_memory, uint32_t pages,
                        uint32_t max_pages, size_t stack, char* message, size_t room) {
  Entered entered(instance);
  v8::Isolate* isolate = instance->isolate;
  v8::Local<v8::Context> context = instance->context.Get(isolate);
  v8::Context::Scope scope(context);
  v8::TryCatch caught(isolate);
  LimitStack(isolate, stack);
  instance->imports = imports;

  v8::Local<v8::Object> bound = v8::Object::New(isolate);
  bool good = true;
  for (size_t index = 0; good && index < count; ++index) {
    v8::Local<v8::Function> function;
    const auto number = v8::Integer::NewFromUnsigned(isolate, static_cast<uint32_t>(index));
    good = v8::Function::New(context, OnCall, number).ToLocal(&function) &&
           Put(context, bound, imports[index].module, imports[index].name, function);
  }
  v8::Local<v8::Object> memory, made, exports;
  if (good && has_memory) {
    good = NewMemory(context, pages, max_pages).ToLocal(&memory) &&
           Put(context, bound, memory_module, memory_name, memory);
    if (good) instance->memory.Reset(isolate, memory);
  }
  v8::Local<v8::WasmModuleObject> object;
  good = good && v8::WasmModuleObject::FromCompiledModule(isolate, module->compiled).ToLocal(&object);
  if (good) {
    v8::Local<v8::Value> arguments[] = {object, bound};
    // The constructor gives an object even where the start section has trapped.
    good = Make(context, "Instance", 2, arguments).ToLocal(&made) && !caught.HasCaught() &&
           Member(context, made, "exports").ToLocal(&exports);
  }
  if (!good) return Outcome(instance, caught, message, room);
  instance->exports.Reset(isolate, exports);
  return WEIR_V8_DONE;
}

void weir_v8_destroy(WeirV8Instance* instance) { delete instance; }

int64_t weir_v8_export(WeirV8Instance* instance, const char* name) {
  Entered entered(instance);
  v8::Isolate* isolate = instance->isolate;
  v8::Local<v8::Context> context = instance->context.Get(isolate);
  v8::Context::Scope scope(context);
  v8::TryCatch caught(isolate);
  v8::Local<v8::Object> function;
  if (!Member(context, instance->exports.Get(isolate), name).ToLocal(&function) || !function->IsFunction()) return -1;
  instance->functions.emplace_back(isolate, function.As<v8::Function>());
  return static_cast<int64_t>(instance->functions.size()) - 1;
}

int weir_v8_call(WeirV8Instance* instance, uint32_t number, const uint32_t* arguments, size_t count, uint32_t* result,
                 size_t stack, char* message, size_t room) {
  v8::Isolate* isolate = instance->isolate;
  if (number >= instance->functions.size() || count > 5) {
    Say(message, room, "no such function");
    return WEIR_V8_FAILED;
  }
  Entered entered(instance);
  v8::Local<v8::Context> context = instance->context.Get(isolate);
  v8::Context::Scope scope(context);
  v8::TryCatch caught(isolate);
  // Within a host function the limit of the call that led there holds.
  if (stack != 0) {
    LimitStack(isolate, stack);
    instance->ended = false;
  }
  v8::Local<v8::Value> values[5];
  for (size_t index = 0; index < count; ++index) {
    values[index] = v8::Integer::New(isolate, static_cast<int32_t>(arguments[index]));
  }
  v8::Local<v8::Value> value;
  v8::Local<v8::Function> function = instance->functions[number].Get(isolate);
  const bool done =
      function->Call(context, v8::Undefined(isolate), static_cast<int>(count), values).ToLocal(&value);
  if (!done) return Outcome(instance, caught, message, room);
  // An i32, as a number with a sign; undefined where there is no result.
  *result = value->IsInt32() ? static_cast<uint32_t>(value.As<v8::Int32>()->Value()) : 0;
  if (++instance->calls % kCallsBetweenTasks == 0) {
    while (v8::platform::PumpMessageLoop(platform, isolate)) {
    }
  }
  return WEIR_V8_DONE;
}

size_t weir_v8_memory(WeirV8Instance* instance, uint8_t** base) {
  *base = nullptr;
  if (instance->memory.IsEmpty()) return 0;
  Entered entered(instance);
  v8::Local<v8::ArrayBuffer> buffer = instance->memory.Get(instance->isolate).As<v8::WasmMemoryObject>()->Buffer();
  *base = static_cast<uint8_t*>(buffer->Data());
  return buffer->ByteLength();
}

void weir_v8_interrupt(WeirV8Instance* instance) { instance->isolate->RequestInterrupt(OnInterrupt, instance); }
