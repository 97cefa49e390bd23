#include "engine/profile.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <utility>

#include "engine/backend/kernels.h"

namespace boxcam {

namespace {

using Clock = std::chrono::steady_clock;

bool profiling = false;
std::map<std::pair<std::string, std::string>, ProfileRow> rows;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

template <class Map>
auto most_expensive_first(const Map& map) {
  std::vector<typename Map::mapped_type> list;
  for (const auto& [key, entry] : map) list.push_back(entry);
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return list;
}

void look_at(const Tensor& t, ProfileRow& row) {
  if (!t.defined()) return;
  row.bytes += static_cast<double>(t.bytes());
  row.shapes += str(row.shapes.empty() ? "" : " ", t.shape());
}
void look_at(const BatchNormArgs& a, ProfileRow& row) {
  look_at(a.x, row);
  if (a.residual.defined()) row.bytes += static_cast<double>(a.residual.bytes());
}
void look_at(const CamBoxArgs& a, ProfileRow& row) {
  look_at(a.activations, row);
  look_at(a.mask, row);
}
void look_at(const CamBoxResults& r, ProfileRow& row) { look_at(r.cam, row); }
void look_at(const ParameterUpdates& u, ProfileRow& row) {
  for (const auto& list : {u.parameters, u.first, u.second})
    for (const Tensor& t : list) row.bytes += static_cast<double>(t.bytes());
  for (const Tensor& t : u.gradients) row.bytes += static_cast<double>(t.bytes());
  row.shapes += str(u.parameters.size(), " parameters");
}
template <class T>
void look_at(const T&, ProfileRow&) {}  // a parameter of the kernel

/// A function with the signature of a table's entry that times the entry.
template <auto Entry>
struct Timed;
template <class... Arguments, void (*Kernels::*Entry)(Arguments...)>
struct Timed<Entry> {
  static inline const Kernels* table;
  static inline Device device;
  static inline const char* name;
  static void call(Arguments... arguments) {
    const auto begin = Clock::now();
    (table->*Entry)(std::forward<Arguments>(arguments)...);
    synchronize(device);
    ProfileRow row{name, "", 1, seconds_since(begin), 0};
    (look_at(arguments, row), ...);
    ProfileRow& total = rows.try_emplace({row.kernel, row.shapes}, ProfileRow{row.kernel, row.shapes}).first->second;
    ++total.calls;
    total.seconds += row.seconds;
    total.bytes += row.bytes;
  }
};

template <auto Entry>
void time_entry(Kernels& timed, const Kernels& table, Device device, const char* name) {
  Timed<Entry>::table = &table;
  Timed<Entry>::device = device;
  Timed<Entry>::name = name;
  timed.*Entry = &Timed<Entry>::call;
}

Kernels timed_kernels(const Kernels& table, Device device) {
  Kernels timed{};
#define BOXCAM_TIME(entry) time_entry<&Kernels::entry>(timed, table, device, #entry);
  BOXCAM_KERNELS(BOXCAM_TIME)
#undef BOXCAM_TIME
  return timed;
}

}  // namespace

const Kernels& profiled(const Kernels& table, Device device) {
  if (!profiling) return table;
  static Kernels timed;
  return timed = timed_kernels(table, device);
}

void set_profiling(bool on) {
  profiling = on;
  if (on) rows.clear();
  time_waits(on);
}

std::vector<ProfileRow> profile() { return most_expensive_first(rows); }

std::string profile_table(double seconds) {
  const auto table = [&](const std::vector<ProfileRow>& list, bool with_shapes) {
    std::string text = str("| kernel | ", with_shapes ? "shapes | " : "", "calls | ms | share | GB | GB/s |\n| --- | ",
                           with_shapes ? "--- | " : "", "---: | ---: | ---: | ---: | ---: |\n");
    double total = 0;
    for (const ProfileRow& r : list) {
      char numbers[128];
      std::snprintf(numbers, sizeof numbers, "%lld | %.1f | %.1f %% | %.2f | %.1f |\n", static_cast<long long>(r.calls),
                    1e3 * r.seconds, 100 * r.seconds / seconds, r.bytes / 1e9, r.bytes / r.seconds / 1e9);
      text += str("| ", r.kernel, " | ", with_shapes ? r.shapes + " | " : "", numbers);
      total += r.seconds;
    }
    if (!with_shapes) {
      const auto add_line = [&](const std::string& what, const std::string& times, double part) {
        char numbers[128];
        std::snprintf(numbers, sizeof numbers, "%.1f | %.1f %% | | |\n", 1e3 * part, 100 * part / seconds);
        text += str("| ", what, " | ", times, " | ", numbers);
      };
      add_line("outside the kernels", "", seconds - total);
      for (const ProfileWait& w : profile_waits())
        add_line(str("of it waiting for ", w.what), std::to_string(w.times), w.seconds);
    }
    return text;
  };
  std::map<std::string, ProfileRow> by_kernel;
  const std::vector<ProfileRow> all = profile();
  for (const ProfileRow& r : all) {
    ProfileRow& sum = by_kernel.try_emplace(r.kernel, ProfileRow{r.kernel, ""}).first->second;
    sum.calls += r.calls;
    sum.seconds += r.seconds;
    sum.bytes += r.bytes;
  }
  return table(most_expensive_first(by_kernel), false) + "\n" + table(all, true);
}

}  // namespace boxcam
