#include "harness/core/shell.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace dsv4 {
namespace {

/// Passes the words to a shell. Returns the words that the shell reads, each in angle brackets.
std::string through_a_shell(const std::vector<std::string>& words) {
  std::vector<std::string> command{"printf", "<%s>"};
  command.insert(command.end(), words.begin(), words.end());
  // popen() may start a shell that does not know $'...', so that shell starts bash, and bash runs the command.
  std::FILE* pipe = ::popen(shell_command({"bash", "-c", shell_command(command)}).c_str(), "r");
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  EXPECT_EQ(::pclose(pipe), 0);
  return text;
}

TEST(Shell, PlainWordsStayAsTheyAre) {
  EXPECT_EQ(shell_command({"dsv4diff", "run", "--case", "topk_v1/k=512,fill=ties/seed=7"}),
            "dsv4diff run --case topk_v1/k=512,fill=ties/seed=7");
  EXPECT_EQ(shell_command({"--golden", "golden/a b.h5"}), "--golden 'golden/a b.h5'");
  EXPECT_EQ(shell_command({"it's", ""}), "'it'\\''s' ''");
}

TEST(Shell, AShellReadsTheSameWords) {
  for (const std::string& word :
       {std::string("a b"), std::string("it's"), std::string(""), std::string("$HOME `id` \"x\""),
        std::string("\\n*?[~"), std::string("größe 猫"), std::string("a\nb\t'c'\\\x1b[2J\x7f"), std::string("-x"),
        std::string("#;&|<>(){}!")}) {
    EXPECT_EQ(through_a_shell({word, "end"}), "<" + word + "><end>");
    EXPECT_EQ(shell_command({word}).find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace dsv4
