// Options declared once: name, field, range and help. From the declaration follow parsing, --help, the nearest name for
// a mistyped one, whether an option was given, and run.json, which is written from the fields *after* settling: the
// struct is the truth, not the text of the command line.
//
//   OptionTable table(app);
//   table.group("Method");
//   table.number("--lambda", o.penalty.lambda, at_least(0), "weight of the penalty");
//   table.word("--cam-profile", o.cam.profile, "the order of ReLU, min-max and resize");  // words_of<CamProfile>()
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/options/words.h"

namespace boxcam {

/// NaN and infinity are outside of every range.
struct Range {
  double low, high;
  std::string what;  ///< "a number of 0 or more"
};
Range at_least(double low);
Range between(double low, double high);

class OptionTable {
 public:
  explicit OptionTable(CLI::App& app) : app_(app) {}
  OptionTable(const OptionTable&) = delete;
  OptionTable& operator=(const OptionTable&) = delete;

  /// Of the options that follow, in --help.
  void group(const std::string& name) { group_ = name; }

  // Fields must outlive the table. Their values at this moment are the defaults; `shown` replaces one in the help.
  void number(const std::string& name, double& field, const Range& range, const std::string& help);
  void whole(const std::string& name, int& field, const Range& range, const std::string& help);
  void whole(const std::string& name, int64_t& field, const Range& range, const std::string& help);
  void whole(const std::string& name, uint64_t& field, const std::string& help);  ///< 0 or more
  void flag(const std::string& name, bool& field, const std::string& help);
  void text(const std::string& name, std::string& field, const std::string& help);
  void list(const std::string& name, std::vector<std::string>& field, const std::string& help);  ///< comma-separated
  template <class E>
  void word(const std::string& name, E& field, const std::string& help) {
    choice(name, field, words_of<E>(), help);
  }
  /// One of words that a table made, such as the names of models or losses.
  template <class T>
  void choice(const std::string& name, T& field, const Words<T>& words, const std::string& help) {
    std::vector<std::string> known;
    for (const auto& [word, meaning] : words) known.push_back(word);
    add_choice(
        name, known, help, [&field, words] { return word_in(words, field); },
        [&field, words](const std::string& text) {
          for (const auto& [word, meaning] : words)
            if (word == text) field = meaning;
        });
  }
  /// A row of a table, by its name; the help goes on with the rows' formulas.
  template <class Row>
  void row(const std::string& name, const Row*& field, const std::vector<Row>& rows, const std::string& help) {
    Words<const Row*> words;
    std::string formulas;
    for (const Row& r : rows) {
      words.emplace_back(r.name, &r);
      formulas += str(formulas.empty() ? ": " : ", ", r.name, " ", r.formula);
    }
    choice(name, field, words, help + formulas);
  }
  /// Several rows of a table, comma-separated, each once; "all" stands for every one, in the table's order.
  template <class Row>
  void rows(const std::string& name, std::vector<const Row*>& field, const std::vector<Row>& rows,
            const std::string& help) {
    std::vector<std::string> known;
    std::string formulas;
    for (const Row& r : rows) {
      known.push_back(r.name);
      formulas += str(formulas.empty() ? ": " : ", ", r.name, " ", r.formula);
    }
    add_choices(
        name, known, help + formulas,
        [&field] {
          std::string names;
          for (const Row* r : field) names += str(names.empty() ? "" : ",", r->name);
          return names;
        },
        [&field, &rows](const std::vector<std::string>& names) {
          field.clear();
          for (const std::string& one : names)
            for (const Row& r : rows)
              if (one == r.name) field.push_back(&r);
        });
  }
  /// A file or folder that the program cannot do without; several where the field is a list. No part of a run.
  void required(const std::string& name, std::string& field, const std::string& help);
  void required(const std::string& name, std::vector<std::string>& field, const std::string& help);
  /// The option declared last decides nothing that a run computes: run.json leaves it out.
  void unrecorded() { entries_.back().recorded = false; }

  bool has(const std::string& name) const;
  bool typed(const std::string& name) const { return app_.count(name) > 0; }  ///< on the command line
  /// On the command line, or in the run that is resumed.
  bool given(const std::string& name) const { return typed(name) || (has(name) && entry(name).chosen); }
  /// The value now, as it is written on the command line.
  std::string value(const std::string& name) const { return entry(name).value(); }
  /// Whether a text, as `value` gives it, is the option's default; false for an option that there is not.
  bool is_standard(const std::string& name, const std::string& text) const {
    return has(name) && entry(name).standard == text;
  }
  /// A value that something else than the user chose, as if it were the default; throws as parsing does.
  void assign(const std::string& name, const std::string& text) { entry(name).assign(text); }
  /// A value that the user chose in another way than by the option itself: from then on it counts as given.
  void give(const std::string& name, const std::string& text) {
    assign(name, text);
    entry(name).chosen = true;
  }
  /// Gives every recorded option that is not on the command line the value that `json` made of it. Options that
  /// `json` does not name keep their defaults. Throws as parsing does.
  void restore(const nlohmann::json& recorded);
  /// Gives the option's field the value that another option stands for; refuses, with the reason, one that was given
  /// and differs.
  template <class T>
  void imply(const std::string& name, T& field, const T& value, const std::string& reason) const {
    refuse(given(name) && field != value, name, reason);
    field = value;
  }
  /// Throws what run_app reports with exit status 2: "--name: reason".
  void refuse(bool condition, const std::string& name, const std::string& reason) const;

  /// Every recorded option by name, without dashes: flags as booleans, everything else as `value` says it.
  nlohmann::json json() const;
  /// The recorded options that differ from their defaults, as a command line (quoted for a shell), but for `without`.
  std::string command_line(const std::vector<std::string>& without = {}) const;

 private:
  struct Entry {
    std::string name;
    bool is_flag = false, recorded = true, chosen = false;
    std::string standard;  ///< the default
    std::function<std::string()> value;
    std::function<void(const std::string&)> assign;
  };
  const Entry& entry(const std::string& name) const;
  Entry& entry(const std::string& name) { return const_cast<Entry&>(std::as_const(*this).entry(name)); }
  void add(const std::string& name, bool is_flag, std::function<std::string()> value,
           std::function<void(const std::string&)> assign);
  void add_choice(const std::string& name, const std::vector<std::string>& known, const std::string& help,
                  std::function<std::string()> value, const std::function<void(const std::string&)>& assign);
  /// `assign` gets names that are known, each once, at least one.
  void add_choices(const std::string& name, const std::vector<std::string>& known, const std::string& help,
                   std::function<std::string()> value,
                   const std::function<void(const std::vector<std::string>&)>& assign);
  template <class T>
  void add_number(const std::string& name, T& field, const Range& range, const std::string& type,
                  const std::string& help);

  CLI::App& app_;
  std::string group_ = "Options";
  std::vector<Entry> entries_;
};

}  // namespace boxcam
